//! GRUB's quoting (script/yylex.l): between single quotes everything stands for itself, but a single quote ends them.

/// One word that means exactly this text.
pub(super) fn word(value: &str) -> String {
    // No value has a control character; a line end inside of quotes would still be one.
    let value: String = value.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// One word to be shown: a `-` where it begins would be an option.
pub(super) fn text(value: &str) -> String {
    if value.starts_with('-') { word(&format!(" {value}")) } else { word(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_ends_the_quotes_and_nothing_else_does() {
        assert_eq!(word("ds=nocloud;s=http://h/$x{a}\"b\\"), "'ds=nocloud;s=http://h/$x{a}\"b\\'");
        assert_eq!(word("Was soll's sein?"), r"'Was soll'\''s sein?'");
        assert_eq!(word("a\nreboot"), "'a_reboot'");
        assert_eq!(word(""), "''");
        assert_eq!(text("--hotkey=x"), "' --hotkey=x'");
    }
}
