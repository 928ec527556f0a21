//! Configs for pxelinux 6 and for U-Boot, which reads the same keywords and fewer of them (extlinux).
//!
//! The language has no quoting: a line is a directive and a value ends with it, so no value has a line end. What a value
//! cannot hold is refused, and said on the screen (syslinux, com32/elflink/ldlinux/readconfig.c).
//!
//! pxelinux reports nothing: each entry of a menu is another config, which is asked for when somebody picks it.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::reach::Reach;
use super::san::with_disk;
use super::screen::{self, MESSAGE_SECS};
use crate::boot::plan::{Action, Arg, MenuEntry, Plan, Source, Tree, Waiting};
use crate::config::{BootName, LocalHow};

mod piece;

pub use piece::{Piece, piece};

/// The name of the config of a menu's entry: this and the boot's name, beside the loader.
pub const ENTRY_PREFIX: &str = "pxelinux.cfg/boot-";

/// The longest name of a file (syslinux, FILENAME_MAX).
const NAME_BYTES_MAX: usize = 255;

/// Who reads a config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// pxelinux and syslinux.efi.
    Pxelinux,
    /// U-Boot: no messages but the heading of a menu, one initial file system, names beside the config's folder.
    Extlinux,
}

/// What a config needs to know beside its plan.
#[derive(Clone, Copy, Debug)]
pub struct ConfigContext<'a> {
    /// The server's address: the loader need not know a name server.
    pub server: Ipv4Addr,
    /// How files come from it.
    pub reach: Reach,
    /// Who reads it.
    pub flavour: Flavour,
    /// The served name of the config.
    pub config: &'a str,
}

impl ConfigContext<'_> {
    fn place(&self, source: &Source) -> Result<String, String> {
        let place = match (source, self.flavour) {
            (Source::File(name), Flavour::Pxelinux) => self.served(name)?,
            (Source::File(name), Flavour::Extlinux) => self.beside(name)?,
            (Source::Url(url), Flavour::Pxelinux) => fetched(url)?,
            (Source::Url(url), Flavour::Extlinux) => {
                return Err(format!("U-Boot fetches {url} from no other server"));
            }
        };
        if place.len() > NAME_BYTES_MAX {
            return Err(format!("pxelinux takes no name longer than {NAME_BYTES_MAX} bytes: {place}"));
        }
        Ok(place)
    }

    /// The absolute form, whatever folder the loader came from: `::NAME` over TFTP, a URL over HTTP.
    fn served(&self, name: &str) -> Result<String, String> {
        let no_word = |c: char| c.is_whitespace() || c.is_control() || c == ',';
        // It is not known to encode, nor to leave alone what is encoded.
        let no_url = |c: char| !c.is_ascii() || matches!(c, '%' | '?' | '#');
        match self.reach {
            _ if name.contains(no_word) => {
                Err(format!("pxelinux knows no file with a blank or comma: {name}"))
            }
            Reach::Tftp => Ok(format!("::{name}")),
            Reach::Http(_) if name.contains(no_url) => {
                Err(format!("pxelinux cannot ask for {name} over HTTP"))
            }
            Reach::Http(80) => Ok(format!("http://{}/{name}", self.server)),
            Reach::Http(port) => Ok(format!("http://{}:{port}/{name}", self.server)),
        }
    }

    /// U-Boot puts the folder of its boot file before each name.
    fn beside(&self, name: &str) -> Result<String, String> {
        if name.contains(char::is_whitespace) {
            return Err(format!("U-Boot knows no file with a blank: {name}"));
        }
        if !self.config.starts_with("pxelinux.cfg/") {
            return Err("U-Boot finds files of other folders only when its boot file is in none".to_owned());
        }
        Ok(name.to_owned())
    }
}

/// A URL that lpxelinux fetches; pxelinux.0 knows `tftp` alone, and says so.
fn fetched(url: &str) -> Result<String, String> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let known = ["http", "ftp", "tftp"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    match known && !url.contains(',') {
        true => Ok(url.to_owned()),
        false => Err(format!("pxelinux cannot fetch {url}: it knows http, ftp and tftp, and no comma")),
    }
}

/// A config under construction.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Adds a line, which stays one whatever is in it.
    fn line(&mut self, line: &str) {
        self.0.extend(line.chars().map(|c| if c.is_control() { '_' } else { c }));
        self.0.push('\n');
    }

    /// Shows a text, wrapped.
    fn say(&mut self, text: &str) {
        screen::lines(text).iter().for_each(|line| self.line(&format!("SAY {line}")));
    }
}

/// The config of a plan, or what of it the loader cannot do.
pub fn render(plan: &Plan, context: &ConfigContext<'_>) -> Result<String, String> {
    let mut text = Text::default();
    match &plan.action {
        Action::Menu { .. } if context.flavour == Flavour::Extlinux => {
            return Err("U-Boot cannot tell what is chosen in a menu".to_owned());
        }
        Action::Menu { title, timeout, entries, default } => {
            menu(&mut text, title, *timeout, entries, default);
        }
        Action::Local(how) => {
            text.line(&format!("DEFAULT {}", plan.boot));
            text.line("PROMPT 0");
            local(&mut text, plan.boot.as_str(), how, context.flavour);
        }
        // pxelinux came without a shim, or the shim vouches for what it starts.
        Action::Linux { kernel, initrds, args, shim: _, disk } => {
            text.line(&format!("DEFAULT {}", plan.boot));
            text.line("PROMPT 0");
            if context.flavour == Flavour::Pxelinux {
                text.say(&format!("Bootlace: boot {}", plan.boot));
            }
            text.line(&format!("LABEL {}", plan.boot));
            linux(&mut text, context, kernel, initrds, &with_disk(args, disk.as_ref())?)?;
        }
        Action::Chain { .. } => return Err("pxelinux runs no script or program of another server".to_owned()),
        Action::Script { .. } => return Err("a script for iPXE is nothing that pxelinux can run".to_owned()),
        Action::Efi { .. } => return Err("pxelinux starts no EFI program".to_owned()),
        Action::Pxelinux(Tree { file, .. }) => return Err(format!("{file} runs already")),
        Action::San(_) => return Err("pxelinux attaches no iSCSI disk".to_owned()),
        Action::Wait(Waiting::Name(_)) => return Err("only iPXE waits until a machine is known".to_owned()),
        Action::Wait(Waiting::Disk) => return Err("pxelinux attaches no iSCSI disk".to_owned()),
    }
    Ok(text.0)
}

/// A config that says on the screen why there is no boot, and then goes on.
pub fn problem(why: &str, flavour: Flavour) -> String {
    const GO_ON: &str = "local";
    let mut text = Text::default();
    match flavour {
        Flavour::Pxelinux => {
            text.say(&format!("Bootlace: {why}"));
            text.say(&format!("Going on with the next boot device in {MESSAGE_SECS} seconds"));
        }
        Flavour::Extlinux => text.line(&format!("MENU TITLE Bootlace: {why}")),
    }
    text.line(&format!("DEFAULT {GO_ON}"));
    text.line("PROMPT 1");
    text.line(&format!("TIMEOUT {}", tenths(Duration::from_secs(MESSAGE_SECS))));
    local(&mut text, GO_ON, &LocalHow::Auto, flavour);
    text.0
}

fn linux(
    text: &mut Text,
    context: &ConfigContext<'_>,
    kernel: &Source,
    initrds: &[Source],
    args: &[Arg],
) -> Result<(), String> {
    text.line(&format!("  LINUX {}", context.place(kernel)?));
    if context.flavour == Flavour::Extlinux && initrds.len() > 1 {
        return Err("U-Boot takes one initial file system".to_owned());
    }
    let places = initrds.iter().map(|initrd| context.place(initrd)).collect::<Result<Vec<_>, _>>()?;
    if !places.is_empty() {
        text.line(&format!("  INITRD {}", places.join(",")));
    }
    let args = piece::arguments(args)?;
    if !args.is_empty() {
        text.line(&format!("  APPEND {args}"));
    }
    Ok(())
}

/// The label that goes on with the machine's own disk. A BIOS has its own order of devices, and U-Boot a command of its
/// own (`localcmd`): `how` only says whether the loader fails (-1) or ends well (0).
fn local(text: &mut Text, label: &str, how: &LocalHow, flavour: Flavour) {
    let kind = match (flavour, how) {
        (Flavour::Pxelinux, LocalHow::Exit) => "-1",
        (Flavour::Pxelinux, _) => "0",
        (Flavour::Extlinux, _) => "1",
    };
    text.line(&format!("LABEL {label}"));
    text.line(&format!("  LOCALBOOT {kind}"));
}

/// Where menu.c32 is missing, pxelinux waits for a label to be typed: so the labels are on the screen.
fn menu(text: &mut Text, title: &str, timeout: Option<Duration>, entries: &[MenuEntry], default: &BootName) {
    text.line(&format!("SAY {title}"));
    entries.iter().for_each(|MenuEntry { boot, title }| text.line(&format!("SAY  {boot}: {title}")));
    text.line("UI menu.c32");
    text.line(&format!("MENU TITLE {title}"));
    if let Some(timeout) = timeout {
        text.line(&format!("TIMEOUT {}", tenths(timeout)));
        text.line(&format!("ONTIMEOUT {default}"));
    }
    for MenuEntry { boot, title } in entries {
        text.line(&format!("LABEL {boot}"));
        text.line(&format!("  MENU LABEL {title}"));
        if boot == default {
            text.line("  MENU DEFAULT");
        }
        text.line(&format!("  CONFIG {ENTRY_PREFIX}{boot}"));
    }
}

/// As `TIMEOUT` takes it, where 0 would wait for ever.
fn tenths(time: Duration) -> u128 {
    (time.as_millis() / 100).max(1)
}
