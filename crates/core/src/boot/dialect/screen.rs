//! Messages on the screen of a machine that does not boot.

/// How long a message stays before the machine goes on.
pub(super) const MESSAGE_SECS: u64 = 10;

/// Columns of a text screen that a message fills.
const MESSAGE_COLUMNS: usize = 76;

/// Lines of a message: more would scroll the reason away.
const MESSAGE_LINES_MAX: usize = 12;

/// The lines of a message: its words, where no line is longer than the screen unless a word is.
pub(super) fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= MESSAGE_COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.truncate(MESSAGE_LINES_MAX);
    lines
}
