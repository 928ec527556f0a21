//! Unattended installations: what an installer's kernel is told so that it fetches its answers, and the answers.
//!
//! Answers hold hashes of passwords and keys, so they are for the one boot that was armed for it: their place has a
//! token in it that only that boot's script tells, and only that machine's address may use it.

use std::fmt::Debug;

use super::template::{Context, Links, RenderError};
use crate::config::{Answer, BootName, Family, Install};

/// The folder of answers, below which there is a token and a file's name.
pub const ANSWERS: &str = "answer";
/// The folder of what an installer asks for when it is done: a token.
pub const DONE: &str = "done";
/// What stands for a token where it must not be shown.
pub const HIDDEN_TOKEN: &str = "TOKEN";

/// The archive of all answers that Alpine's initial file system unpacks over the system that it starts. It goes by the
/// ending (initramfs-init of mkinitfs, `unpack_apkovl`).
const OVERLAY: &str = "machine.apkovl.tar.gz";

/// Who makes the tokens of the session that asks.
pub trait TokenMaker: Debug {
    /// The token of an installation by this boot; none for who cannot have one.
    fn token(&self, boot: &BootName) -> Option<String>;
}

/// Shows no token.
#[derive(Clone, Copy, Debug)]
pub struct HiddenTokens;

impl TokenMaker for HiddenTokens {
    fn token(&self, _: &BootName) -> Option<String> {
        Some(HIDDEN_TOKEN.to_owned())
    }
}

/// What is sent for the name of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The answer.
    Text(String),
    /// All of them.
    Archive(Vec<Packed>),
}

/// An entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Its name, with its folders.
    pub path: String,
    /// What it is.
    pub kind: PackedKind,
}

/// What an entry of an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackedKind {
    /// A file to read.
    File(String),
    /// A file to run.
    Program(String),
    /// A symbolic link to there.
    Link(&'static str),
}

/// Where the bearer of a token finds its answers. `base` is the server's URL.
pub(crate) fn links(base: &str, token: &str) -> Links {
    Links { url: format!("{base}/{ANSWERS}/{token}"), done: format!("{base}/{DONE}/{token}") }
}

/// The arguments of an installer's kernel, before those that the config adds. `source` is where the installer finds what it
/// installs.
pub(crate) fn arguments(install: &Install, links: &Links, source: Option<&str>) -> Vec<String> {
    let folder = &links.url;
    let first = install.answers.first().map_or("", |answer| answer.name.as_str());
    let file = format!("{folder}/{first}");
    let mut arguments = match install.family {
        // preseed/url, and its questions from before that (installation guide, appendix B).
        Family::Debian => vec![
            "auto=true".to_owned(),
            "priority=critical".to_owned(),
            "interface=auto".to_owned(),
            format!("url={file}"),
        ],
        // cloud-init would take casper's `url=` for a config of its own, the whole image.
        Family::Ubuntu => vec![
            "ip=dhcp".to_owned(),
            "autoinstall".to_owned(),
            format!("ds=nocloud;s={folder}/"),
            "cloud-config-url=/dev/null".to_owned(),
        ],
        Family::Fedora => vec!["ip=dhcp".to_owned(), format!("inst.ks={file}")],
        Family::Coreos => vec![
            "ignition.firstboot".to_owned(),
            "ignition.platform.id=metal".to_owned(),
            format!("coreos.inst.ignition_url={file}"),
        ],
        Family::Alpine => vec!["ip=dhcp".to_owned(), format!("apkovl={folder}/{OVERLAY}")],
        Family::Suse => vec!["netsetup=dhcp".to_owned(), format!("autoyast={file}")],
    };
    if let (Some(argument), Some(source)) = (install.family.source_argument(), source) {
        arguments.push(format!("{argument}={source}"));
        if install.family == Family::Ubuntu {
            arguments.push("root=/dev/ram0".to_owned());
        }
    }
    arguments
}

/// The answer of a name; `None` where there is none. cloud-init wants `meta-data` to be there, whatever it says.
pub(crate) fn answer(
    install: &Install,
    name: &str,
    context: &Context<'_>,
) -> Option<Result<Answered, RenderError>> {
    let of_config = install.answers.iter().find(|answer| answer.name == name);
    match of_config {
        Some(Answer { template, .. }) => Some(template.render(context).map(Answered::Text)),
        None if install.family == Family::Alpine && name == OVERLAY => {
            Some(overlay(install, context).map(Answered::Archive))
        }
        None if install.family == Family::Ubuntu && name == "meta-data" => {
            let machine = context.machine.map_or("machine", |machine| machine.name.as_str());
            let text = format!("instance-id: {machine}\nlocal-hostname: {machine}\n");
            Some(Ok(Answered::Text(text)))
        }
        None => None,
    }
}

/// The answers in a folder of their own, and what starts the first of them when the system has come up (the service `local`). An
/// empty `.default_boot_services` keeps the services that a system without an overlay has.
fn overlay(install: &Install, context: &Context<'_>) -> Result<Vec<Packed>, RenderError> {
    let file =
        |path: &str, text: &str| Packed { path: path.to_owned(), kind: PackedKind::File(text.to_owned()) };
    let first = install.answers.first().map_or("", |answer| answer.name.as_str());
    let start = format!("#!/bin/sh\nexec sh /etc/bootlace/{first} >/var/log/bootlace.log 2>&1\n");
    let name = context.machine.map_or("localhost", |machine| machine.name.as_str());
    let mut entries = vec![
        file("etc/.default_boot_services", ""),
        file("etc/apk/world", "alpine-base\n"),
        file("etc/hostname", &format!("{name}\n")),
        Packed {
            path: "etc/runlevels/default/local".to_owned(),
            kind: PackedKind::Link("/etc/init.d/local"),
        },
        Packed { path: "etc/local.d/bootlace.start".to_owned(), kind: PackedKind::Program(start) },
    ];
    for answer in &install.answers {
        let kind = PackedKind::File(answer.template.render(context)?);
        entries.push(Packed { path: format!("etc/bootlace/{}", answer.name), kind });
    }
    Ok(entries)
}
