//! Where findings are collected while the file is read.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{Files, Source};
use crate::finding::{Finding, Severity};

/// A value and where it stands in the file.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// The file being read and what was found in it so far. Reading goes on after a finding, with the default in
/// place of what was wrong, so that one run shows everything.
pub(super) struct Report<'a> {
    main: &'a Source,
    files: &'a Files,
    findings: Vec<Finding>,
    wanted: BTreeSet<PathBuf>,
    templates: PathBuf,
    line_ends: Vec<usize>,
}

impl<'a> Report<'a> {
    pub(super) fn new(main: &'a Source, files: &'a Files) -> Self {
        let line_ends = main.text.match_indices('\n').map(|(at, _)| at).collect();
        Self {
            main,
            files,
            findings: Vec::new(),
            wanted: BTreeSet::new(),
            templates: PathBuf::new(),
            line_ends,
        }
    }

    /// Adds a finding about a place in the config file.
    pub(super) fn add(&mut self, finding: Finding, span: &Range<usize>) {
        self.findings.push(finding.at(&self.main.name, span.clone()));
    }

    /// Adds a finding about a place in another file.
    pub(super) fn add_elsewhere(&mut self, finding: Finding, file: &str, span: Range<usize>) {
        self.findings.push(finding.at(file, span));
    }

    /// The line of the place that starts there, from 1: for findings that name a second place.
    pub(super) fn line(&self, start: usize) -> usize {
        self.line_ends.partition_point(|&end| end < start) + 1
    }

    /// The file's text at a place.
    pub(super) fn source_text(&self, span: &Range<usize>) -> &'a str {
        self.main.text.get(span.clone()).unwrap_or_default()
    }

    /// The folder of script files, once it is known.
    pub(super) fn templates(&self) -> &Path {
        &self.templates
    }

    pub(super) fn set_templates(&mut self, folder: PathBuf) {
        self.templates = folder;
    }

    /// A path of the file as the process can use it: relative ones start at the file's folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.main.folder.join(path)
    }

    /// The text of a file that the config names. What is asked for here is what [`super::wanted`] lists.
    pub(super) fn file(&mut self, path: &Path) -> Option<&'a Result<String, String>> {
        self.wanted.insert(path.to_owned());
        self.files.get(path)
    }

    /// Adds a finding without a place.
    pub(super) fn warn(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Adds what was found in another file.
    pub(super) fn take(&mut self, other: Report<'_>) {
        self.findings.extend(other.finish().0);
    }

    /// All findings in the order of the file, and the files that were asked for.
    pub(super) fn finish(mut self) -> (Vec<Finding>, BTreeSet<PathBuf>) {
        let in_main = |finding: &Finding| {
            finding.place.as_ref().map(|place| (place.file != self.main.name, place.span.start))
        };
        self.findings.sort_by_key(in_main);
        (self.findings, self.wanted)
    }

    /// Whether something was found that makes the config unusable.
    pub(super) fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}
