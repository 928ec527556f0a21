//! What a machine saw, step by step, and how its boot ended.

use std::fmt;
use std::time::Duration;

use crate::finding::Finding;
use crate::limits::REPORT_STEPS_MAX;
use crate::text::bytes;

/// What kind of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// A loader or firmware begins.
    Start,
    /// A DHCP message left.
    Sent,
    /// A DHCP message came.
    Received,
    /// The machine has an address.
    Lease,
    /// A file came as a whole.
    File,
    /// Something failed that need not end the boot.
    Trouble,
    /// A script did something that can be seen.
    Script,
    /// The boot ended.
    End,
}

impl StepKind {
    /// In lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Lease => "lease",
            Self::File => "file",
            Self::Trouble => "trouble",
            Self::Script => "script",
            Self::End => "end",
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Time since the machine was switched on.
    pub at: Duration,
    /// What kind.
    pub kind: StepKind,
    /// What happened, in one line.
    pub text: String,
}

/// A file that came as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it came from: a URL.
    pub url: String,
    /// Its length, as counted.
    pub bytes: u64,
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.url, bytes(self.bytes))
    }
}

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A kernel starts.
    Linux {
        /// The kernel.
        kernel: File,
        /// Its initial file systems, in order.
        initrds: Vec<File>,
        /// Its command line, exactly.
        cmdline: String,
    },
    /// A SAN disk is booted.
    San {
        /// The target's URI.
        target: String,
        /// The name that the machine logs in with.
        initiator: Option<String>,
    },
    /// The machine goes on with its next boot device.
    Local {
        /// What sent it there.
        by: String,
    },
    /// A program starts that is not played here.
    Program(File),
    /// The system has its address; it asks for nothing else.
    Lease,
    /// It does not boot.
    Stopped(Finding),
}

impl Outcome {
    /// The finding that stopped the machine.
    pub fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Stopped(finding) => Some(finding),
            _ => None,
        }
    }

    /// A stable name of the kind.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linux { .. } => "linux",
            Self::San { .. } => "san",
            Self::Local { .. } => "local",
            Self::Program(_) => "program",
            Self::Lease => "lease",
            Self::Stopped(_) => "stopped",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linux { kernel, initrds, cmdline } => {
                write!(f, "boots the kernel {kernel}")?;
                for initrd in initrds {
                    write!(f, ", initrd {initrd}")?;
                }
                write!(f, ", command line: {cmdline}")
            }
            Self::San { target, initiator } => {
                write!(f, "boots the SAN disk {target}")?;
                initiator.iter().try_for_each(|name| write!(f, " as {name}"))
            }
            Self::Local { by } => write!(f, "goes on with its next boot device: {by}"),
            Self::Program(file) => write!(f, "starts the program {file}"),
            Self::Lease => f.write_str("has its address"),
            Self::Stopped(finding) => write!(f, "is stopped by {finding}"),
        }
    }
}

/// What was seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    steps: Vec<Step>,
    files: Vec<File>,
    /// Things that failed on the way, the first first.
    troubles: Vec<Finding>,
}

impl Report {
    /// The steps in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The files that came as a whole, in order.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// What failed on the way without ending the boot.
    pub fn troubles(&self) -> &[Finding] {
        &self.troubles
    }

    pub(crate) fn add(&mut self, at: Duration, kind: StepKind, text: impl Into<String>) {
        if self.steps.len() < REPORT_STEPS_MAX {
            self.steps.push(Step { at, kind, text: text.into() });
        }
    }

    pub(crate) fn file(&mut self, at: Duration, file: &File) {
        self.add(at, StepKind::File, file.to_string());
        self.files.push(file.clone());
    }

    pub(crate) fn trouble(&mut self, at: Duration, finding: Finding) {
        self.add(at, StepKind::Trouble, finding.to_string());
        self.troubles.push(finding);
    }
}
