//! Making values harmless in the language they are printed in (design invariant 6).
//!
//! Two kinds of values reach a template. What a machine *reported* is hostile: of it only letters, digits and a
//! few signs stay that mean nothing anywhere, so it is always one word, one argument, one part of a URL. What
//! the *config* holds (`vars`, names, the server's address) is the user's own text: it may hold several words,
//! but it too cannot begin another command.
//!
//! iPXE has no quoting at all: a line is split at blanks, `;`, `||` and `&&` are operators where they stand
//! alone, `#` begins a comment where a word begins, a `\` at the end of a line joins the next one, and `${` is
//! expanded again and again until none is left (iPXE core/exec.c, core/settings.c). So there is no way to
//! print those literally, only to replace them.

use std::fmt::{self, Write};

use super::template::Language;

mod answer;

/// Who a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A machine's own words.
    Reported,
    /// The config.
    Configured,
}

/// Writes a value into a text of this language.
pub(super) fn write_value(
    out: &mut dyn Write,
    language: Language,
    origin: Origin,
    value: &str,
) -> fmt::Result {
    match (language, origin) {
        (Language::Ipxe | Language::KernelArgs, Origin::Reported) => reported_word(out, value),
        (Language::Ipxe | Language::KernelArgs, Origin::Configured) => configured_words(out, value),
        (Language::Url, Origin::Reported) => url_part(out, value),
        (Language::Url, Origin::Configured) => url_text(out, value),
        (Language::Iscsi, Origin::Reported) => iscsi_part(out, value),
        (Language::Iscsi, Origin::Configured) => out.write_str(value),
        (Language::Xml, Origin::Configured) => answer::xml(out, value),
        (
            Language::Grub
            | Language::Pxelinux
            | Language::Yaml
            | Language::Json
            | Language::Xml
            | Language::Shell
            | Language::Preseed
            | Language::Kickstart,
            origin,
        ) => match origin {
            Origin::Reported => answer::reported(out, language, value),
            // As it is: `refusal` was asked before.
            Origin::Configured => out.write_str(value),
        },
    }
}

/// Why a text of the config cannot stand in this language as it is, where that is not changed but refused.
pub(super) fn refusal(language: Language, value: &str) -> Option<String> {
    match language {
        Language::Ipxe | Language::Url | Language::KernelArgs | Language::Iscsi | Language::Xml => None,
        _ => answer::refusal(language, value),
    }
}

/// A value as one whole literal of the language, or why it has none.
pub(super) fn quoted(language: Language, origin: Origin, value: &str) -> Result<String, String> {
    answer::quoted(language, origin, value)
}

/// One word. ASCII only: the kernel and iPXE look at bytes, and the byte 0xA0 inside of an `à` is a blank to
/// the kernel's command line parser. No quote, since the kernel honours those across blanks. A leading `-`
/// would be an option to iPXE and, doubled, the end of the kernel's own arguments.
fn reported_word(out: &mut dyn Write, value: &str) -> fmt::Result {
    for (at, c) in value.chars().enumerate() {
        let plain = c.is_ascii_alphanumeric()
            || matches!(c, '.' | '_' | '~' | ':' | '/' | ',' | '+' | '@' | '=')
            || (c == '-' && at > 0);
        out.write_char(if plain { c } else { '_' })?;
    }
    Ok(())
}

/// Words of the user's, without what would end the command, comment it out or expand.
fn configured_words(out: &mut dyn Write, value: &str) -> fmt::Result {
    let mut word_begins = true;
    let mut chars = value.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|&(_, next)| next);
        let harmless = match c {
            ' ' => true,
            _ if c.is_control() || c.is_whitespace() => false,
            '#' => !word_begins,
            // What follows the last character is not seen here: a hole may stand beside another.
            '$' => next.is_some_and(|next| next != '{'),
            '{' => at > 0,
            '\\' => next.is_some(),
            ';' | '|' | '&' => !(word_begins && is_operator_word(value.get(at..).unwrap_or_default())),
            _ => true,
        };
        word_begins = harmless && c == ' ';
        out.write_char(if harmless { c } else { '_' })?;
    }
    Ok(())
}

/// Whether the word at the start of this text consists of operator signs only.
fn is_operator_word(rest: &str) -> bool {
    let word = rest.split(char::is_whitespace).next().unwrap_or_default();
    word.chars().all(|c| matches!(c, ';' | '|' | '&'))
}

/// Percent-encodes all but RFC 3986's unreserved characters, so that a value is one segment of a path or one
/// value of a query. A value of dots only would be a step in the path, encoded or not: they become `_`.
fn url_part(out: &mut dyn Write, value: &str) -> fmt::Result {
    if value.bytes().all(|b| b == b'.') {
        return value.chars().try_for_each(|_| out.write_char('_'));
    }
    percent(out, value, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
}

/// A URL or a piece of one as the user wrote it, with only what no URL can hold encoded. `$` and `{` are legal
/// in none or useless, and iPXE would expand them.
fn url_text(out: &mut dyn Write, value: &str) -> fmt::Result {
    percent(out, value, |b| {
        b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'{' | b'}' | b'|')
    })
}

fn percent(out: &mut dyn Write, value: &str, keep: impl Fn(u8) -> bool) -> fmt::Result {
    for byte in value.bytes() {
        if keep(byte) {
            out.write_char(char::from(byte))?;
        } else {
            write!(out, "%{byte:02X}")?;
        }
    }
    Ok(())
}

/// A part of an iSCSI URI or name: RFC 4173 separates parts by `:`, RFC 3720 names know little else. A MAC so
/// becomes dashed, as it is usual in names.
fn iscsi_part(out: &mut dyn Write, value: &str) -> fmt::Result {
    value.chars().try_for_each(|c| {
        out.write_char(if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '-' })
    })
}

/// A cleaned file name as the path of a URL, which firmware takes as it is.
pub(crate) fn url_path(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    // Writing to a String cannot fail.
    let _ = percent(&mut out, name, |b| {
        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/')
    });
    out
}

/// A value for the query of a URL, for the dialect's own links.
pub(super) fn query_value(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    // Writing to a String cannot fail.
    let _ = percent(&mut out, value, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'));
    out
}

/// A word or several for a script that the dialect writes: as [`Origin::Configured`] values, and no word may
/// look like an option.
pub(super) fn script_words(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let trimmed = value.trim_start_matches(|c: char| c == '-' || c.is_whitespace());
    let _ = configured_words(&mut out, trimmed);
    out
}

/// One word for a script that the dialect writes; nothing in it splits it or changes its line.
pub(super) fn script_word(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let _ = configured_words(&mut out, value);
    out.replace(char::is_whitespace, "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(language: Language, origin: Origin, value: &str) -> String {
        let mut out = String::new();
        write_value(&mut out, language, origin, value).unwrap();
        out
    }

    #[test]
    fn a_reported_value_is_one_word() {
        let cases = [
            ("QEMU Standard PC", "QEMU_Standard_PC"),
            ("x ; shell", "x___shell"),
            ("a||b && c", "a__b____c"),
            ("${net0/mac}", "__net0/mac_"),
            ("a\nshell", "a_shell"),
            ("à init=/bin/sh", "__init=/bin/sh"),
            ("\"root=/dev/sdb", "_root=/dev/sdb"),
            ("--replace", "_-replace"),
            ("#comment", "_comment"),
            ("end\\", "end_"),
            ("52:54:00:12:34:56", "52:54:00:12:34:56"),
            ("10.188.0.61/24,x+y@z", "10.188.0.61/24,x+y@z"),
        ];
        for (value, expected) in cases {
            assert_eq!(escaped(Language::Ipxe, Origin::Reported, value), expected);
            assert_eq!(escaped(Language::KernelArgs, Origin::Reported, value), expected);
        }
    }

    #[test]
    fn a_configured_value_may_be_words_but_no_command() {
        let cases = [
            ("console=ttyS0 quiet", "console=ttyS0 quiet"),
            ("a ; shell", "a _ shell"),
            ("a || b", "a _| b"),
            ("&& b", "_& b"),
            ("ds=nocloud;s=http://x/", "ds=nocloud;s=http://x/"),
            ("a#b #c", "a#b _c"),
            ("${mac}", "_{mac}"),
            ("100$", "100_"),
            ("{x}", "_x}"),
            ("\\EFI\\debian\\", "\\EFI\\debian_"),
            ("a\nshell", "a_shell"),
            ("a\t#b", "a_#b"),
        ];
        for (value, expected) in cases {
            assert_eq!(escaped(Language::Ipxe, Origin::Configured, value), expected, "{value:?}");
        }
    }

    #[test]
    fn urls_and_iscsi_names() {
        let cases = [
            (Language::Url, Origin::Reported, "a b/../c?x&y#z", "a%20b%2F..%2Fc%3Fx%26y%23z"),
            (Language::Url, Origin::Reported, "..", "__"),
            (Language::Url, Origin::Configured, "http://h/a b?x=1&y", "http://h/a%20b?x=1&y"),
            (Language::Url, Origin::Configured, "${x}\n", "$%7Bx%7D%0A"),
            (Language::Iscsi, Origin::Reported, "52:54:00:12:34:56", "52-54-00-12-34-56"),
            (Language::Iscsi, Origin::Reported, "a b:c\n", "a-b-c-"),
            (Language::Iscsi, Origin::Configured, "iqn.2007-08.com.example:x", "iqn.2007-08.com.example:x"),
        ];
        for (language, origin, value, expected) in cases {
            assert_eq!(escaped(language, origin, value), expected, "{language:?} {value:?}");
        }
    }

    #[test]
    fn the_dialects_words() {
        assert_eq!(script_words("--gap Rescue system"), "gap Rescue system");
        assert_eq!(script_words("Was soll's sein?"), "Was soll's sein?");
        assert_eq!(script_word("a b;"), "a_b;");
        assert_eq!(script_word("||"), "_|");
        assert_eq!(query_value("a b&c"), "a%20b%26c");
    }
}
