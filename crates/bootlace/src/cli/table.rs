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

/// A number of bytes with the largest unit that leaves it one digit before the point.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (bytes.max(1).ilog2() / 10).min(4);
    let scaled = bytes as f64 / f64::from(1_u32 << 10).powi(unit as i32);
    match unit {
        0 => format!("{bytes} B"),
        unit => format!("{scaled:.1} {}", UNITS[unit as usize]),
    }
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
    fn bytes_have_a_unit() {
        let cases =
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 30, "3.0 GiB"), (5 << 40, "5.0 TiB")];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["10.0.0.1".to_owned(), "web1".to_owned()], ["10.0.0.200".to_owned(), String::new()]];
        assert_eq!(table(["ADDRESS", "NAME"], &rows), "ADDRESS     NAME\n10.0.0.1    web1\n10.0.0.200");
    }
}
