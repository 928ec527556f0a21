//! Turns what firmware writes to a serial terminal into plain text.
//!
//! SeaBIOS and EDK2 paint a screen: they move the cursor before nearly every word. For a log it is enough to
//! know when they change the row, which begins a line, and to drop every other control sequence.

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// Inside `ESC [ ...`, with the parameters so far.
    Csi(String),
    /// Inside an operating system command, up to BEL or ESC.
    Osc,
}

/// Longer parameters are no control sequence but noise.
const PARAMS_LEN_MAX: usize = 32;

/// The filter's state between two pieces of output.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    state: State,
    row: Option<u32>,
    utf8: Vec<u8>,
}

impl Plain {
    /// Appends the text of `bytes` to `out`.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut String) {
        for &byte in bytes {
            self.byte(byte, out);
        }
    }

    fn byte(&mut self, byte: u8, out: &mut String) {
        match &mut self.state {
            State::Text => self.text(byte, out),
            State::Escape => {
                self.state = match byte {
                    b'[' => State::Csi(String::new()),
                    b']' => State::Osc,
                    _ => State::Text,
                }
            }
            State::Csi(params) => match byte {
                0x40..=0x7e => {
                    let params = std::mem::take(params);
                    self.state = State::Text;
                    self.command(byte, &params, out);
                }
                _ if params.len() < PARAMS_LEN_MAX => params.push(char::from(byte)),
                _ => self.state = State::Text,
            },
            State::Osc => match byte {
                0x07 => self.state = State::Text,
                0x1b => self.state = State::Escape,
                _ => {}
            },
        }
    }

    fn text(&mut self, byte: u8, out: &mut String) {
        match byte {
            0x1b => self.state = State::Escape,
            b'\n' => {
                out.push('\n');
                self.row = self.row.map(|row| row + 1);
            }
            b'\t' => out.push('\t'),
            0x00..0x20 | 0x7f => {}
            0x20..0x7f => out.push(char::from(byte)),
            _ => self.multibyte(byte, out),
        }
    }

    fn multibyte(&mut self, byte: u8, out: &mut String) {
        self.utf8.push(byte);
        match std::str::from_utf8(&self.utf8) {
            Ok(text) => out.push_str(text),
            Err(error) if error.error_len().is_none() => return,
            Err(_) => out.push(char::REPLACEMENT_CHARACTER),
        }
        self.utf8.clear();
    }

    fn command(&mut self, command: u8, params: &str, out: &mut String) {
        if !matches!(command, b'H' | b'f' | b'd') {
            return;
        }
        let row = params.split(';').next().and_then(|row| row.parse().ok()).unwrap_or(1);
        if self.row != Some(row) && !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        self.row = Some(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(input: &str) -> String {
        let mut out = String::new();
        let mut filter = Plain::default();
        // Byte by byte, as a slow serial line would deliver it.
        for byte in input.as_bytes() {
            filter.feed(&[*byte], &mut out);
        }
        out
    }

    #[test]
    fn colours_vanish_and_rows_become_lines() {
        assert_eq!(
            plain("\x1b[2J\x1b[01;01H\x1b[0;37;40mSeaBIOS\x1b[1;8H (1.16)\x1b[3;1HBooting"),
            "SeaBIOS (1.16)\nBooting"
        );
        assert_eq!(plain("one\r\ntwo\r\n"), "one\ntwo\n");
        assert_eq!(plain("\x1b]0;title\x07text \u{fc}"), "text \u{fc}");
    }

    #[test]
    fn noise_does_not_swallow_the_rest() {
        let long = "1;".repeat(40);
        assert!(plain(&format!("\x1b[{long}m done")).ends_with(" done"));
    }
}
