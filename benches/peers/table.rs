//! The figures as a table that can stand in a paper, on stderr: stdout is for figures.

use super::ours::Reports;

/// A tool; figures are not numbers where it is not here.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) theirs: f64,
    pub(crate) ratio: f64,
    pub(crate) spread: (f64, f64),
    /// Those that count, of all.
    pub(crate) rounds: String,
    pub(crate) goals: Option<(f64, f64)>,
    pub(crate) share: String,
}

impl Row {
    /// Of a tool that is not here.
    pub(crate) fn missing(name: &str, share: &str) -> Self {
        let spread = (f64::NAN, f64::NAN);
        let (name, rounds, share) = (name.to_owned(), "-".to_owned(), share.to_owned());
        Self { name, theirs: f64::NAN, ratio: f64::NAN, spread, rounds, goals: None, share }
    }

    fn goals(&self) -> String {
        let Some((must, aim)) = self.goals else { return "-".to_owned() };
        let met = if self.ratio >= aim {
            "aim reached"
        } else if self.ratio >= must {
            "must reached"
        } else {
            "MISSED"
        };
        format!("{must:.0} / {aim:.0}: {met}")
    }
}

/// Ours by `run` and by `replay`, and a row a tool.
pub(crate) fn print(run: f64, replay: f64, reports: &Reports, rows: &[Row], by_replay: &[Row]) {
    eprintln!("\nOurs, all 24 stats of 10,000 ranges: {run:.2} Mpps of a CPU by `run`, {replay:.2} by `replay`.");
    let (lines, ranges) = reports.lines;
    eprintln!("A measured window brought {lines} reports of {ranges} ranges; shed was: {}.\n", reports.shed);
    eprintln!(
        "| tool | Mpps of a CPU | ours / theirs (rounds' least to most) | rounds | must / aim | `replay` / theirs | share of our job |"
    );
    eprintln!("|---|---|---|---|---|---|---|");
    for row in rows {
        let Row { name, theirs, ratio, spread: (least, most), rounds, share, .. } = row;
        if theirs.is_nan() {
            eprintln!("| {name} | - | - | - | - | - | {share} |");
            continue;
        }
        let replay = by_replay.iter().find(|other| other.name == *name).map_or(f64::NAN, |other| other.ratio);
        let goals = row.goals();
        eprintln!("| {name} | {theirs:.3} | {ratio:.1} ({least:.1} to {most:.1}) | {rounds} | {goals} | {replay:.2} | {share} |");
    }
}
