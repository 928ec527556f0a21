//! Rules about what stands in files.

use super::{Complaint, Source, find_word};

const RUST_LINES_MAX: usize = 600;
/// Split, so that this file does not break its own rules.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
const COMPUTER_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];

pub(super) fn files_are_short(sources: &[Source]) -> Vec<Complaint> {
    let rust = sources.iter().filter(|source| source.is_rust());
    rust.filter_map(|source| {
        let count = source.lines().count();
        let advice =
            format!("{count} lines, more than {RUST_LINES_MAX}: split the file by what its parts mean");
        (count > RUST_LINES_MAX).then(|| source.complain(RUST_LINES_MAX + 1, advice))
    })
    .collect()
}

pub(super) fn notes_to_self_have_an_issue(sources: &[Source]) -> Vec<Complaint> {
    each_line(sources, |line| {
        let note = NOTES.iter().find(|note| {
            find_word(line, note).is_some_and(|at| !line[at + note.len()..].starts_with("(#"))
        })?;
        Some(format!("do it, or name its issue: `{note}(#7)`"))
    })
}

pub(super) fn no_path_of_one_computer(sources: &[Source]) -> Vec<Complaint> {
    each_line(sources, |line| {
        let path = COMPUTER_PATHS.iter().find(|path| names_absolute(line, path))?;
        Some(format!("`{path}` is a place on somebody's computer: say where by a setting or a relative path"))
    })
}

/// Whether `path` begins a path in `line`, rather than continuing one such as `a/root/b`.
fn names_absolute(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-/}".contains(c))
    })
}

fn each_line(sources: &[Source], broken: impl Fn(&str) -> Option<String>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in sources {
        for (number, line) in source.lines() {
            complaints.extend(broken(line).map(|advice| source.complain(number, advice)));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_found() {
        let file = |lines: usize| Source::new("a.rs", &"x\n".repeat(lines));
        assert_eq!(files_are_short(&[file(RUST_LINES_MAX)]), []);
        assert_eq!(files_are_short(&[file(RUST_LINES_MAX + 1)]).len(), 1);
    }

    #[test]
    fn a_note_needs_an_issue() {
        let note = NOTES[0];
        let text = format!("// {note}: later\n// {note}(#12): later\nlet {note}S = 1;\n");
        let complaints = notes_to_self_have_an_issue(&[Source::new("a.rs", &text)]);
        assert_eq!(complaints.iter().map(|complaint| complaint.line).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn absolute_paths_are_found_and_others_pass() {
        let root = COMPUTER_PATHS[1];
        let text = format!("open(\"{root}x\")\nsrv{root}x\n{{dir}}{root}x\n");
        let complaints = no_path_of_one_computer(&[Source::new("a.md", &text)]);
        assert_eq!(complaints.iter().map(|complaint| complaint.line).collect::<Vec<_>>(), [1]);
    }
}
