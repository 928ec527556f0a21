//! Patterns with `*` and `?`.

/// A pattern that ignores case and outer blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob(Vec<char>);

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        let mut folded: Vec<char> = pattern.trim().chars().flat_map(char::to_lowercase).collect();
        // `**` means what `*` means; one star less is one place less to try again from.
        folded.dedup_by(|a, b| *a == '*' && *b == '*');
        Self(folded)
    }

    /// Whether the whole text matches. Takes at most pattern times text steps: after a mismatch only the last
    /// star is widened, since an earlier one could not reach further than it has.
    pub(super) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.trim().chars().flat_map(char::to_lowercase).collect();
        let (mut at, mut from) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while from < text.len() {
            match self.0.get(at) {
                Some('*') => {
                    retry = Some((at, from));
                    at += 1;
                }
                Some(&c) if c == '?' || text.get(from) == Some(&c) => {
                    at += 1;
                    from += 1;
                }
                _ => {
                    let Some((star, taken)) = retry else { return false };
                    retry = Some((star, taken + 1));
                    at = star + 1;
                    from = taken + 1;
                }
            }
        }
        self.0.get(at..).is_some_and(|rest| rest.iter().all(|&c| c == '*'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        let cases = [
            ("QEMU*", "qemu", true),
            ("QEMU*", "  QEMU Standard PC ", true),
            ("QEMU", "QEMU Standard PC", false),
            ("*Standard*", "QEMU Standard PC", true),
            ("*pc", "QEMU Standard PC", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("?", "", false),
            ("", "", true),
            ("", "x", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("**x**", "x", true),
            ("ÄPFEL*", "äpfel und birnen", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_text_takes_no_longer_than_any_other() {
        // With exponential backtracking this would not end.
        let pattern = Glob::new(&"a*".repeat(60));
        assert!(!pattern.matches(&format!("{}b", "b".repeat(127))));
        assert!(!Glob::new(&format!("{}b", "*a".repeat(60))).matches(&"a".repeat(128)));
    }
}
