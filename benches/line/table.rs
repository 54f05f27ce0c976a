//! The figures as a table that can stand in a paper.

/// A row.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) against: String,
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    pub(crate) ratio: f64,
    pub(crate) spread: (f64, f64),
    pub(crate) rounds: String,
    /// What must be reached, and what is aimed at.
    pub(crate) goals: Option<(f64, f64)>,
    pub(crate) pages: String,
    pub(crate) shed: String,
    pub(crate) time: String,
}

/// What stands where frames of ours lie on larger pages than theirs.
pub(crate) const PAGES_DIFFER: &str = "ours large";

/// On stderr: stdout is for figures.
pub(crate) fn print(rows: &[Row]) {
    eprintln!(
        "\n| case | ours, Mpps | against | theirs, Mpps | ratio (rounds' least to most) | must / aim | rounds | pages | shed | time |"
    );
    eprintln!("|---|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let Row { name, against, ours, theirs, ratio, spread: (least, most), rounds, pages, shed, time, .. } = row;
        let goals = row.goals.map_or_else(
            || "-".to_owned(),
            |(must, aim)| {
                let met = if *ratio >= aim {
                    "aim reached"
                } else if *ratio >= must {
                    "must reached"
                } else {
                    "MISSED"
                };
                let differ = if pages.contains(PAGES_DIFFER) { ", on unlike pages" } else { "" };
                format!("{must:.2} / {aim:.2}: {met}{differ}")
            },
        );
        eprintln!(
            "| {name} | {ours:.2} | {against} | {theirs:.1} | {ratio:.3} ({least:.3} to {most:.3}) | {goals} | {rounds} | {pages} | {shed} | {time} |"
        );
    }
}
