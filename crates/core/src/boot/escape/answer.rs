//! The languages of configs and of answers to installers. Nothing here knows whether a value stands between quotes, in
//! which of them, or in a script that is itself a value. So what a machine reported keeps only what means nothing in any of
//! these places; and what the config holds stands there as it is, or is refused when it could end its token: to change
//! a password or a key in silence would be worse. `| quote` makes a whole literal, which can hold more.

use std::fmt::{self, Write};

use super::super::template::Language;
use super::Origin;

/// What the words of the config's own texts may not be, and why.
pub(super) fn refusal(language: Language, value: &str) -> Option<String> {
    let (name, hint) = (language, "write it as {{ ... | quote }}, without quotes of your own");
    if value.contains(char::is_control) {
        return Some(format!(
            "a value of the config has a line end or control character, which {name} cannot hold here"
        ));
    }
    let found = match language {
        // They replace what they cannot hold, or write all of it, or have nothing but line ends.
        Language::Ipxe
        | Language::Url
        | Language::KernelArgs
        | Language::Iscsi
        | Language::Xml
        | Language::Pxelinux => None,
        Language::Preseed => {
            let hint = "a `\\` at the end would join the next line";
            return value.ends_with('\\').then(|| format!("a value of the config cannot stand here: {hint}"));
        }
        Language::Json => value.chars().find(|c| matches!(c, '"' | '\\')).map(String::from),
        Language::Yaml => yaml(value),
        Language::Shell | Language::Grub => {
            value.chars().find(|&c| shell_sign(c) || c == '$').map(String::from)
        }
        Language::Kickstart if value.starts_with('%') => Some("%".to_owned()),
        // Commands do not expand `$`, and hashes of passwords have it.
        Language::Kickstart => value.chars().find(|&c| shell_sign(c)).map(String::from),
    }?;
    Some(format!("a value of the config has `{found}`, which means something to {name}: {hint}"))
}

fn shell_sign(c: char) -> bool {
    matches!(
        c,
        '"' | '\''
            | '\\'
            | '`'
            | ';'
            | '|'
            | '&'
            | '<'
            | '>'
            | '('
            | ')'
            | '{'
            | '}'
            | '['
            | ']'
            | '*'
            | '?'
            | '#'
            | '~'
            | '!'
    )
}

/// What ends a plain scalar or one between quotes, or makes something else of it.
fn yaml(value: &str) -> Option<String> {
    let sign =
        value.chars().find(|c| matches!(c, '"' | '\'' | '\\' | '{' | '}' | '[' | ']')).map(String::from);
    let pair = [": ", " #"].into_iter().find(|pair| value.contains(pair)).map(str::to_owned);
    let first = value.chars().next().filter(|c| "-?:,#&*!|>%@`".contains(*c)).map(String::from);
    let last = value.ends_with(':').then(|| ":".to_owned());
    let marker = (value == "...").then(|| value.to_owned());
    sign.or(pair).or(first).or(last).or(marker)
}

/// One word of what a machine reported, harmless in all places of the language, also in a script that is a value there: those of
/// AutoYaST run as root.
pub(super) fn reported(out: &mut dyn Write, language: Language, value: &str) -> fmt::Result {
    let last = value.chars().count().saturating_sub(1);
    // `...` alone in a line ends a document of YAML.
    let dots = value.bytes().all(|b| b == b'.');
    let mut before = None;
    for (at, c) in value.chars().enumerate() {
        let inside = at > 0 && at < last;
        let plain = match c {
            '.' => !dots,
            '_' | '/' | '+' => true,
            // At an edge or beside another it would end a comment.
            '-' if language == Language::Xml => inside && before != Some('-'),
            '-' => at > 0,
            // It would make a key of what stands before it, and is a path's or a `~`'s separator at the edges.
            ':' => inside,
            '@' => at > 0,
            ',' => !matches!(language, Language::Yaml | Language::Json),
            _ => c.is_ascii_alphanumeric(),
        };
        before = Some(c);
        out.write_char(if plain { c } else { '_' })?;
    }
    Ok(())
}

/// A text of the config or the value of an attribute, exactly; what XML 1.0 has no way to write (section 2.2) becomes `_`. A `-` at an edge
/// or beside another is written by number, so that it cannot end a comment.
pub(super) fn xml(out: &mut dyn Write, value: &str) -> fmt::Result {
    let mut chars = value.chars().peekable();
    let mut before = None;
    while let Some(c) = chars.next() {
        match c {
            '&' => out.write_str("&amp;")?,
            '<' => out.write_str("&lt;")?,
            '>' => out.write_str("&gt;")?,
            '"' => out.write_str("&quot;")?,
            '\'' => out.write_str("&#39;")?,
            '-' if matches!(before, None | Some('-')) || chars.peek().is_none() => out.write_str("&#45;")?,
            '\t' | '\n' | '\r' => write!(out, "&#{};", u32::from(c))?,
            '\u{fffe}' | '\u{ffff}' => out.write_char('_')?,
            _ if c.is_control() => out.write_char('_')?,
            _ => out.write_char(c)?,
        }
        before = Some(c);
    }
    Ok(())
}

/// One literal with its quotes. Of what a machine reported only plain words and blanks stay, so that it is no more than
/// words even when the template has put quotes around the quotes.
pub(super) fn quoted(language: Language, origin: Origin, value: &str) -> Result<String, String> {
    let kept = match origin {
        Origin::Configured => value.to_owned(),
        Origin::Reported => value
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "._:/,+@=- ".contains(c) { c } else { '_' })
            .collect(),
    };
    match language {
        Language::Yaml | Language::Json => Ok(json(&kept)),
        Language::Shell | Language::Grub | Language::Kickstart | Language::Preseed => {
            if kept.contains(char::is_control) {
                return Err(format!("a line end or control character cannot be quoted for {language}"));
            }
            Ok(format!("'{}'", kept.replace('\'', r"'\''")))
        }
        _ => Err(format!("{language} has no quotes that `quote` could write")),
    }
}

/// A string of JSON (RFC 8259 section 7), which YAML's double quotes understand too.
fn json(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // YAML breaks lines at the last two, and takes no byte order mark or private sign unescaped.
            _ if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}
