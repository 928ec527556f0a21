//! Plain tables for terminals: columns as wide as their widest cell.

/// Prints a header and rows with two blanks between the columns.
pub(crate) fn print<const N: usize>(header: [&str; N], rows: &[[String; N]]) {
    let mut widths = header.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    line(&header.map(ToOwned::to_owned), &widths);
    rows.iter().for_each(|row| line(row, &widths));
}

fn line<const N: usize>(cells: &[String; N], widths: &[usize; N]) {
    let padded: Vec<String> =
        cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    println!("{}", padded.join("  ").trim_end());
}
