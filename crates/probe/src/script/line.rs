//! Lines of a script and the commands in them.

use std::collections::VecDeque;

/// What stands before a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    /// Nothing or `;`: it runs in any case.
    Then,
    /// `||`: it runs when what stands before failed.
    Or,
    /// `&&`: it runs when that did not.
    And,
}

/// A command with what stands before it. The words are not expanded yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) operator: Operator,
    pub(super) words: Vec<String>,
}

/// The lines of a script behind its magic; a backslash at the end joins the next one.
pub(super) fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;
    for line in text.split('\n').skip(1) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let whole = open.take().unwrap_or_default() + line;
        match whole.strip_suffix('\\') {
            Some(begun) => {
                open = Some(begun.to_owned());
                // Every line keeps its number.
                lines.push(String::new());
            }
            None => lines.push(whole),
        }
    }
    lines.extend(open);
    lines
}

/// The label that a line is.
pub(super) fn label_of(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix(':')?.split_whitespace().next()
}

/// The commands of a line. Words are split before anything is expanded, and there is no quoting.
pub(super) fn segments(line: &str) -> VecDeque<Segment> {
    let mut segments = VecDeque::new();
    if label_of(line).is_some() {
        return segments;
    }
    let mut words = Vec::new();
    let mut operator = Operator::Then;
    for word in line.split_whitespace().take_while(|word| !word.starts_with('#')) {
        let next = match word {
            "||" => Operator::Or,
            "&&" => Operator::And,
            ";" => Operator::Then,
            _ => {
                words.push(word.to_owned());
                continue;
            }
        };
        segments.push_back(Segment { operator, words: std::mem::take(&mut words) });
        operator = next;
    }
    segments.push_back(Segment { operator, words });
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_at_free_standing_operators_only() {
        let parts: Vec<_> = segments("chain a;b || goto x && echo a||b ; # rest").into_iter().collect();
        let expected = [
            (Operator::Then, vec!["chain", "a;b"]),
            (Operator::Or, vec!["goto", "x"]),
            (Operator::And, vec!["echo", "a||b"]),
            (Operator::Then, vec![]),
        ];
        assert_eq!(parts.len(), expected.len());
        for (part, (operator, words)) in parts.iter().zip(expected) {
            assert_eq!(
                (part.operator, &part.words),
                (operator, &words.iter().map(|word| (*word).to_owned()).collect())
            );
        }
        assert!(segments(":label").is_empty() && label_of("  :label x") == Some("label"));
    }

    #[test]
    fn joined_lines_keep_their_numbers() {
        assert_eq!(lines("#!ipxe\na \\\r\nb\r\nc"), ["", "a b", "c"]);
        assert_eq!(lines("#!ipxe"), [""; 0]);
        assert_eq!(lines("#!ipxe\na\\"), ["", "a"]);
    }
}
