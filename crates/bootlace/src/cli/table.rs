//! Plain tables for terminals: columns as wide as their widest cell.

/// A header and rows, with two blanks between the columns.
pub(super) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let header = header.map(ToOwned::to_owned);
    let lines: Vec<String> = [&header].into_iter().chain(rows).map(|row| line(row, &widths)).collect();
    lines.join("\n")
}

fn line<const N: usize>(cells: &[String; N], widths: &[usize; N]) -> String {
    let padded: Vec<String> =
        cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    padded.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["10.0.0.1".to_owned(), "web1".to_owned()], ["10.0.0.200".to_owned(), String::new()]];
        assert_eq!(table(["ADDRESS", "NAME"], &rows), "ADDRESS     NAME\n10.0.0.1    web1\n10.0.0.200");
    }
}
