//! Serial numbers that are none.

/// What boards report whose maker has put nothing there (SMBIOS 3, 7.2 and 7.4, in the words of the usual firmware
/// builders), in lower case.
const PLACEHOLDERS: [&str; 19] = [
    "to be filled by o.e.m.",
    "to be filled by oem",
    "default string",
    "system serial number",
    "chassis serial number",
    "base board serial number",
    "serial number",
    "serial",
    "not specified",
    "not applicable",
    "not available",
    "none",
    "n/a",
    "na",
    "empty",
    "unknown",
    "invalid",
    "o.e.m.",
    "oem",
];

/// Whether a serial number tells nothing: a word for none, the digits in a row, or one sign again and again.
pub fn is_placeholder(serial: &str) -> bool {
    let serial = serial.trim().to_lowercase();
    let mut signs = serial.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '_'));
    let first = signs.next();
    let is_repeated = signs.all(|sign| Some(sign) == first);
    let in_a_row =
        serial.len() > 3 && ["0123456789", "1234567890"].iter().any(|digits| digits.starts_with(&serial));
    is_repeated || in_a_row || PLACEHOLDERS.contains(&serial.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_none_are_none() {
        for serial in [
            "",
            "To be filled by O.E.M.",
            " Default string ",
            "None",
            "0",
            "00000000",
            "xxxx",
            "123456789",
            "0123456789",
            "-",
            "....",
            "N/A",
        ] {
            assert!(is_placeholder(serial), "{serial:?}");
        }
        for serial in ["X1", "1234567891", "123", "VMware-42 1f", "CZC1234567", "00000001", "5CD"] {
            assert!(!is_placeholder(serial), "{serial:?}");
        }
    }
}
