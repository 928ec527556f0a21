//! What a child process prints: kept as plain text, written to a log, and waited on.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::terminal::Plain;

/// How many of the last lines a failure shows: a firmware screen.
const SCREEN_LINES: usize = 25;
const READ_LEN: usize = 4096;

/// The output of one process, possibly from several of its pipes.
///
/// Waiting consumes: each wait looks only at what stands behind the text that the last one found, so the same
/// banner can be awaited twice.
#[derive(Debug, Clone)]
pub struct Output {
    name: String,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    text: String,
    consumed: usize,
    open_pipes: usize,
    /// Up to where the text has been shown; `None` while nobody asked to see it.
    shown: Option<usize>,
}

impl Output {
    /// An output to which nothing has been attached yet. `name` is for messages.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), shared: Arc::default() }
    }

    /// Shows every line on standard output from now on, and those that have come already.
    pub fn show(&self) {
        let mut state = self.lock();
        state.shown.get_or_insert(0);
        show_lines(&self.name, &mut state);
    }

    /// Follows a pipe on a thread of its own until it closes, and copies its text to the file `log`.
    pub fn follow(&self, mut pipe: impl Read + Send + 'static, log: &Path) -> Result<()> {
        let mut log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open {}", log.display()))?;
        self.lock().open_pipes += 1;
        let output = self.clone();
        std::thread::spawn(move || {
            let mut filter = Plain::default();
            let mut buffer = [0; READ_LEN];
            while let Ok(len @ 1..) = pipe.read(&mut buffer) {
                let mut text = String::new();
                filter.feed(&buffer[..len], &mut text);
                // A full disk must not hide what the process says from the one who waits for it.
                drop(log.write_all(text.as_bytes()));
                let mut state = output.lock();
                state.text.push_str(&text);
                show_lines(&output.name, &mut state);
                output.shared.changed.notify_all();
            }
            output.lock().open_pipes -= 1;
            output.shared.changed.notify_all();
        });
        Ok(())
    }

    /// Waits until `text` appears behind what was found last.
    pub fn wait_for(&self, text: &str, limit: Duration) -> Result<()> {
        self.wait_for_any(&[text], limit).map(drop)
    }

    /// Waits for the first of several texts, and says which it was. Two in the same piece of output: the one
    /// that stands first.
    pub fn wait_for_any(&self, texts: &[&str], limit: Duration) -> Result<usize> {
        self.wait_until(limit, &format!("{texts:?}"), |state| {
            let fresh = &state.text[state.consumed..];
            let found = texts.iter().enumerate().filter_map(|(which, text)| Some((fresh.find(text)?, which)));
            let (at, which) = found.min()?;
            state.consumed += at + texts[which].len();
            Some(which)
        })
    }

    /// Waits for a whole line that contains `text`, and returns it from `text` on.
    pub fn line_from(&self, text: &str, limit: Duration) -> Result<String> {
        self.wait_until(limit, &format!("a line with {text:?}"), |state| {
            let start = state.consumed + state.text[state.consumed..].find(text)?;
            let end = start + state.text[start..].find('\n')?;
            state.consumed = end;
            Some(state.text[start..end].trim_end().to_owned())
        })
    }

    /// Waits until there is a whole line with `text`, wherever it stands among the others, and returns it from `text` on.
    pub fn any_line_from(&self, text: &str, limit: Duration) -> Result<String> {
        self.wait_until(limit, &format!("a line with {text:?}"), |state| {
            let start = state.text.find(text)?;
            let end = start + state.text[start..].find('\n')?;
            Some(state.text[start..end].trim_end().to_owned())
        })
    }

    /// Waits until the process has closed all its pipes, as it does when it ends.
    pub fn wait_closed(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while state.open_pipes > 0 {
            state = self.sleep(state, deadline, "its end")?;
        }
        Ok(())
    }

    /// Everything printed so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.lock().text.clone()
    }

    fn wait_until<T>(
        &self,
        limit: Duration,
        what: &str,
        mut find: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        loop {
            if let Some(found) = find(&mut state) {
                return Ok(found);
            }
            if state.open_pipes == 0 {
                bail!(
                    "{} ended before it printed {what}; its last words:\n{}",
                    self.name,
                    screen(&state.text)
                );
            }
            state = self.sleep(state, deadline, what)?;
        }
    }

    fn sleep<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Instant,
        what: &str,
    ) -> Result<MutexGuard<'a, State>> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("waited too long for {what} from {}; its last words:\n{}", self.name, screen(&state.text));
        }
        let woken = self.shared.changed.wait_timeout(state, left);
        Ok(woken.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn show_lines(name: &str, state: &mut State) {
    let Some(shown) = state.shown else { return };
    let Some(end) = state.text[shown..].rfind('\n').map(|end| shown + end + 1) else { return };
    for line in state.text[shown..end].lines().map(squeeze).filter(|line| !line.is_empty()) {
        println!("{name:>8} | {line}");
    }
    state.shown = Some(end);
}

/// The last lines, without the blanks that paint a background.
fn screen(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(squeeze).filter(|line| !line.is_empty()).collect();
    let last = lines.len().saturating_sub(SCREEN_LINES);
    lines[last..].iter().map(|line| format!("    | {line}\n")).collect()
}

fn squeeze(line: &str) -> String {
    let words = line.split("    ").map(str::trim).filter(|words| !words.is_empty());
    words.collect::<Vec<_>>().join("    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn printed(text: &'static str) -> Output {
        let output = Output::new("test");
        output.follow(text.as_bytes(), Path::new("/dev/null")).unwrap();
        output
    }

    #[test]
    fn waiting_consumes() {
        let output = printed("iPXE\nok\niPXE\nend");
        output.wait_for("iPXE", LONG).unwrap();
        assert_eq!(output.wait_for_any(&["nothing", "end", "ok"], LONG).unwrap(), 2);
        output.wait_for("iPXE", LONG).unwrap();
        let error = output.wait_for("iPXE", LONG).unwrap_err().to_string();
        assert!(error.contains("test ended before it printed"), "{error}");
        assert!(error.contains("| end"), "{error}");
    }

    #[test]
    fn a_screen_shows_words_and_not_paint() {
        assert_eq!(
            screen("Boot Manager                Reset   \n      \nlast"),
            "    | Boot Manager    Reset\n    | last\n"
        );
    }

    #[test]
    fn a_line_is_returned_whole() {
        let output = printed("noise MARK cmdline: a=b c\r\nrest");
        assert_eq!(output.line_from("MARK", LONG).unwrap(), "MARK cmdline: a=b c");
        assert!(output.line_from("rest", LONG).is_err(), "an unfinished line is not a line");
    }
}
