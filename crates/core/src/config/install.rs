//! `[boot.NAME]` of kind `install`.

use super::boots::{location, required, words};
use super::file::Table;
use super::report::{At, Report};
use super::types::{BootName, Location};
use super::{one_of, templates};
use crate::boot::template::{Language, Template};
use crate::finding::Finding;

/// `kind = "install"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Install {
    /// Whose installer it is.
    pub family: Family,
    /// The installer's kernel.
    pub kernel: Location,
    /// Its initial file systems, in order.
    pub initrd: Vec<Location>,
    /// The shim of whoever signed the kernel, for Secure Boot.
    pub shim: Option<Location>,
    /// What it installs: an image, a tree or a root file system, as the family has it.
    pub source: Option<Location>,
    /// Further arguments.
    pub cmdline: Template,
    /// What it asks for; the first is what its kernel is told of. Never empty.
    pub answers: Vec<Answer>,
}

/// A file that an installer asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its name without folders.
    pub name: String,
    /// What is in it.
    pub template: Template,
}

/// Installers that are told alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// debian-installer: preseed.
    Debian,
    /// subiquity: autoinstall by cloud-init.
    Ubuntu,
    /// Anaconda: kickstart.
    Fedora,
    /// coreos-installer: Ignition.
    Coreos,
    /// YaST: AutoYaST.
    Suse,
    /// Alpine's live system, and what it is to run: an overlay (`apkovl`) of all answers.
    Alpine,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Debian, Self::Ubuntu, Self::Fedora, Self::Coreos, Self::Suse, Self::Alpine];

    /// Its name in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Ubuntu => "ubuntu",
            Self::Fedora => "fedora",
            Self::Coreos => "coreos",
            Self::Suse => "suse",
            Self::Alpine => "alpine",
        }
    }

    /// What its answers are written in, where their names do not tell.
    pub fn language(self) -> Language {
        match self {
            Self::Debian => Language::Preseed,
            Self::Ubuntu => Language::Yaml,
            Self::Fedora => Language::Kickstart,
            Self::Coreos => Language::Json,
            Self::Suse => Language::Xml,
            Self::Alpine => Language::Shell,
        }
    }

    /// The kernel argument that says what is installed; none where an answer does.
    pub fn source_argument(self) -> Option<&'static str> {
        match self {
            Self::Debian => None,
            Self::Ubuntu => Some("url"),
            Self::Fedora => Some("inst.repo"),
            Self::Coreos => Some("coreos.live.rootfs_url"),
            Self::Suse => Some("install"),
            Self::Alpine => Some("modloop"),
        }
    }

    /// What a file of answers is usually called.
    fn example(self) -> &'static str {
        match self {
            Self::Debian => "preseed.cfg",
            Self::Ubuntu => "user-data",
            Self::Fedora => "ks.cfg",
            Self::Coreos => "config.ign",
            Self::Suse => "autoinst.xml",
            Self::Alpine => "install.sh",
        }
    }

    /// The file that it asks for by a name of its own.
    fn needs_file(self) -> Option<&'static str> {
        (self == Self::Ubuntu).then_some("user-data")
    }
}

/// Reads one; `None` when it lacks what it needs, which has been reported.
pub(super) fn install(name: &At<BootName>, table: &Table<'_>, report: &mut Report<'_>) -> Option<Install> {
    let family = family(name, table, report);
    let kernel = required(name, table, "kernel", report).and_then(|text| location("kernel", &text, report));
    let texts = table.texts("initrd", report);
    let initrd: Vec<_> = texts.iter().filter_map(|text| location("initrd", text, report)).collect();
    let shim = table.text("shim", report).and_then(|text| location("shim", &text, report));
    let source = table.text("source", report).and_then(|text| location("source", &text, report));
    let cmdline = words("cmdline", table, report);
    let (family, span) = family?;
    if let (Some(_), None) = (table.get("source"), family.source_argument()) {
        let message =
            format!("an installer of the family {} is told its source by its answer", family.name());
        report.add(Finding::error("config-value", message).fix("leave `source` out"), &span);
    }
    let answers = answers(name, family, table, report);
    Some(Install { family, kernel: kernel?, initrd, shim, source, cmdline: cmdline?, answers: answers? })
}

fn family(
    name: &At<BootName>,
    table: &Table<'_>,
    report: &mut Report<'_>,
) -> Option<(Family, std::ops::Range<usize>)> {
    let text = required(name, table, "family", report)?;
    let found = Family::ALL.into_iter().find(|family| family.name() == text.value);
    if found.is_none() {
        report.add(one_of("family", text.value, &Family::ALL.map(Family::name)), &text.span);
    }
    found.map(|family| (family, text.span))
}

/// The files that the installer asks for, by the names that they have without their folders.
fn answers(
    name: &At<BootName>,
    family: Family,
    table: &Table<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<Answer>> {
    let texts = table.texts("answer", report);
    if texts.is_empty() {
        let message = format!("the boot `{}` has no `answer`", name.value);
        let fix = format!("add answer = \"{}\", a file of the templates folder", family.example());
        report.add(Finding::error("config-missing", message).fix(fix), &name.span);
        return None;
    }
    let mut answers: Vec<Answer> = Vec::new();
    let mut whole = true;
    for text in &texts {
        let own = |file: &str| Language::of_file(file).unwrap_or(family.language());
        let Some((file, template)) = templates::file("answer", text, own, report) else {
            whole = false;
            continue;
        };
        let base = file.rsplit('/').next().unwrap_or(&file);
        let base = base.strip_suffix(".j2").unwrap_or(base).to_owned();
        if answers.iter().any(|answer| answer.name == base) {
            let message = format!("two answers are called {base}");
            report.add(Finding::error("config-duplicate", message).fix("rename one of them"), &text.span);
        }
        answers.push(Answer { name: base, template });
    }
    if let Some(needed) = family.needs_file()
        && whole
        && !answers.iter().any(|answer| answer.name == needed)
    {
        let message = format!("the installer asks for {needed}, which is not among the answers");
        let span = texts.first().map_or(name.span.clone(), |text| text.span.clone());
        report.add(Finding::error("config-missing", message).fix(format!("call a file {needed}")), &span);
    }
    whole.then_some(answers)
}
