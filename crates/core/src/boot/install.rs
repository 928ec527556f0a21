//! Unattended installations: what an installer's kernel is told so that it fetches its answers, and the answers.
//!
//! Answers hold hashes of passwords and keys, so they are for the one boot that was armed for it: their place has a
//! token in it that only that boot's script tells, and only that machine's address may use it.

use super::template::{Context, Links, RenderError};
use crate::config::{Answer, Family, Install};

/// The folder of answers, below which there is a token and a file's name.
pub const ANSWERS: &str = "answer";
/// The folder of what an installer asks for when it is done: a token.
pub const DONE: &str = "done";
/// What stands for a token where it must not be shown.
pub const HIDDEN_TOKEN: &str = "TOKEN";

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
) -> Option<Result<String, RenderError>> {
    let of_config = install.answers.iter().find(|answer| answer.name == name);
    match of_config {
        Some(Answer { template, .. }) => Some(template.render(context)),
        None if install.family == Family::Ubuntu && name == "meta-data" => {
            let machine = context.machine.map_or("machine", |machine| machine.name.as_str());
            Some(Ok(format!("instance-id: {machine}\nlocal-hostname: {machine}\n")))
        }
        None => None,
    }
}
