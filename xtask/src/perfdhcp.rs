//! What perfdhcp prints.

/// A number of perfdhcp's report: the line `WHAT packets: N` below the statistics of a pair of messages.
pub(crate) fn field(report: &str, pair: &str, what: &str) -> Option<f64> {
    let section = report.split_once(&format!("Statistics for: {pair}"))?.1;
    let line = section.lines().find_map(|line| line.trim().strip_prefix(what)?.strip_prefix(" packets:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "***Rate statistics***
Rate: 1684.05 4-way exchanges/second, expected rate: 2000

***Statistics for: DISCOVER-OFFER***
sent packets: 5999
received packets: 5898
drops: 101

***Statistics for: REQUEST-ACK***
sent packets: 5898
received packets: 5880
drops: 18
";

    #[test]
    fn a_report_is_read() {
        assert_eq!(field(REPORT, "DISCOVER-OFFER", "sent"), Some(5999.0));
        assert_eq!(field(REPORT, "REQUEST-ACK", "received"), Some(5880.0));
        assert_eq!(field("nothing", "REQUEST-ACK", "received"), None);
    }
}
