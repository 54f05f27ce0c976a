//! Cells as a table that can stand in a paper, on stderr: stdout is for figures.

/// Where the largest step is, as a factor, from one to the next.
fn largest(values: impl Iterator<Item = f64> + Clone) -> Option<usize> {
    let steps = values.clone().zip(values.skip(1)).map(|(from, to)| to / from).enumerate();
    steps.filter(|(_, step)| step.is_finite()).max_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at + 1)
}

/// Rows are numbers of stats, columns of ranges.
pub(crate) fn print(unit: &str, stats: &[usize], ranges: &[usize], cells: &[Vec<f64>]) {
    let down: Vec<Option<usize>> = (0..ranges.len()).map(|column| largest(cells.iter().map(|row| row[column]))).collect();
    let heads: Vec<String> = ranges.iter().map(|n| format!("{n} ranges")).collect();
    eprintln!("\n| {unit} | {} |\n|---|{}", heads.join(" | "), "---|".repeat(ranges.len()));
    for (row, values) in cells.iter().enumerate() {
        let across = largest(values.iter().copied());
        let cell = |(column, value): (usize, &f64)| {
            if value.is_nan() {
                return "-".to_owned();
            }
            let step = |from: Option<&f64>| from.map_or(f64::NAN, |from| value / from);
            let right = if across == Some(column) { format!(" → ×{:.2}", step(values.get(column - 1))) } else { String::new() };
            let below = if down[column] == Some(row) { format!(" ↓ ×{:.2}", step(cells[row - 1].get(column))) } else { String::new() };
            format!("{value:.0}{right}{below}")
        };
        let shown: Vec<String> = values.iter().enumerate().map(cell).collect();
        eprintln!("| {} stats | {} |", stats[row], shown.join(" | "));
    }
    eprintln!(
        "\n→ the largest step of a row, from the cell to its left; ↓ of a column, from the cell above. 0 stats: the ledger alone; 48 and 96 are the 24 and as many again of UDP, of TCP and of high ports, each a part of the packets."
    );
}
