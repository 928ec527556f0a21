//! Configs for GRUB 2, as signed by distributions: a build that cannot load further modules.
//!
//! Every value is one quoted word (`word`). A config without a menu runs as it is read, so nothing waits. A boot that
//! fails says so on the screen, waits, and leaves GRUB so that the firmware goes on.
//!
//! GRUB reports nothing and takes no variables of ours: each entry of a menu is another config, which is asked for when
//! somebody picks it. So the pick is known, and decided like any other.

use std::time::Duration;

use super::reach::Reach;
use super::san::with_disk;
use super::screen::{self, MESSAGE_SECS};
use crate::boot::plan::{Action, Arg, MenuEntry, Plan, Source, Waiting};
use crate::config::{BootName, LocalHow};
use crate::model::Firmware;

mod disk;
mod piece;
mod place;
mod quote;

pub use piece::piece;
pub use place::Place;
use quote::word;

/// The name of the config of a menu's entry: this and the boot's name.
pub const ENTRY_PREFIX: &str = "grub.cfg-boot-";

/// What a config needs to know beside its plan.
#[derive(Clone, Copy, Debug)]
pub struct ConfigContext {
    /// The server's address: a signed GRUB need not know a name server.
    pub server: std::net::Ipv4Addr,
    /// How files come from it.
    pub reach: Reach,
    /// What GRUB runs on.
    pub firmware: Firmware,
}

impl ConfigContext {
    fn place(&self, source: &Source) -> Result<Place, String> {
        match source {
            Source::File(name) => Ok(self.served(name)),
            Source::Url(url) => Place::of_url(url),
        }
    }

    fn served(&self, name: &str) -> Place {
        Place::served(self.reach, self.server, name)
    }
}

/// A config under construction.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Adds a line. The caller has made every value in it one word.
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// Adds commands of which each runs when those before it did not fail.
    fn chain(&mut self, commands: &[String]) {
        for command in commands {
            self.line(&format!("if {command}; then"));
        }
        self.line("boot");
        commands.iter().for_each(|_| self.line("fi"));
    }

    /// Shows a text, wrapped.
    fn say(&mut self, text: &str) {
        for line in screen::lines(text) {
            self.line(&format!("echo {}", quote::text(&line)));
        }
    }

    fn wait_and_leave(&mut self, firmware: Firmware) {
        self.say(&format!("Going on with the next boot device in {MESSAGE_SECS} seconds"));
        self.line(&format!("sleep --interruptible {MESSAGE_SECS}"));
        self.line(leave(firmware));
    }
}

/// EDK2's boot manager goes on to the next boot option after a program that returns an error only. Builds that know no
/// status of `exit` ignore it.
fn leave(firmware: Firmware) -> &'static str {
    if firmware.is_uefi() { "exit 1" } else { "exit" }
}

/// The config of a plan, or what of it GRUB cannot do.
pub fn render(plan: &Plan, context: &ConfigContext) -> Result<String, String> {
    let mut text = Text::default();
    let commands = match &plan.action {
        Action::Menu { timeout, entries, default, .. } => {
            menu(&mut text, context, *timeout, entries, default);
            return Ok(text.0);
        }
        Action::Local(how) => {
            local(&mut text, how, context.firmware);
            return Ok(text.0);
        }
        // GRUB came by a shim that vouches for kernels, or nobody asks.
        Action::Linux { kernel, initrds, args, shim: _, disk } => {
            linux(context, kernel, initrds, &with_disk(args, disk.as_ref())?)?
        }
        Action::Chain { url } => vec![format!("chainloader {}", word(&Place::of_url(url)?.to_string()))],
        Action::Efi { program } => {
            vec![format!("chainloader {}", word(&context.place(program)?.to_string()))]
        }
        Action::Script { .. } => return Err("a script for iPXE is nothing that GRUB can run".to_owned()),
        Action::Pxelinux(_) => return Err("pxelinux is no program that GRUB can start".to_owned()),
        Action::San(_) => return Err("GRUB attaches no iSCSI disk".to_owned()),
        Action::Wait(Waiting::Name(_)) => return Err("only iPXE waits until a machine is known".to_owned()),
        Action::Wait(Waiting::Disk) => return Err("GRUB attaches no iSCSI disk".to_owned()),
    };
    text.say(&format!("Bootlace: boot {}", plan.boot));
    text.chain(&commands);
    text.say(&format!("Bootlace: boot {} failed", plan.boot));
    text.wait_and_leave(context.firmware);
    Ok(text.0)
}

/// A config that says on the screen why there is no boot.
pub fn problem(why: &str, firmware: Firmware) -> String {
    let mut text = Text::default();
    text.say(&format!("Bootlace: {why}"));
    text.wait_and_leave(firmware);
    text.0
}

fn linux(
    context: &ConfigContext,
    kernel: &Source,
    initrds: &[Source],
    args: &[Arg],
) -> Result<Vec<String>, String> {
    can_be_handed_over(args)?;
    let kernel = context.place(kernel)?.to_string();
    let words = [word(&kernel)].into_iter().chain(args.iter().map(|arg| word(arg.as_str())));
    let mut commands = vec![format!("linux {}", words.collect::<Vec<_>>().join(" "))];
    if !initrds.is_empty() {
        let places = initrds.iter().map(|initrd| Ok(word(&context.place(initrd)?.to_string())));
        commands.push(format!("initrd {}", places.collect::<Result<Vec<_>, String>>()?.join(" ")));
    }
    Ok(commands)
}

/// GRUB puts a backslash before each of these on its way to the kernel (lib/cmdline.c).
fn can_be_handed_over(args: &[Arg]) -> Result<(), String> {
    match args.iter().find(|arg| arg.as_str().contains(['\\', '\'', '"'])) {
        Some(arg) => Err(format!("GRUB cannot hand over the kernel argument {} as it is", arg.as_str())),
        None => Ok(()),
    }
}

/// The heading of a menu is left out: GRUB has no place for one.
fn menu(
    text: &mut Text,
    context: &ConfigContext,
    timeout: Option<Duration>,
    entries: &[MenuEntry],
    default: &BootName,
) {
    // By its place: the name of a boot may look like a number.
    let at = entries.iter().position(|entry| entry.boot == *default).unwrap_or(0);
    text.line(&format!("set default={at}"));
    match timeout {
        Some(timeout) => text.line(&format!("set timeout={}", timeout.as_secs())),
        None => text.line("set timeout=-1"),
    }
    for MenuEntry { boot, title } in entries {
        let config = context.served(&format!("{ENTRY_PREFIX}{boot}")).to_string();
        text.line(&format!("menuentry {} {{", quote::text(title)));
        text.line(&format!("configfile {}", word(&config)));
        text.line("}");
    }
}

/// The machine's own disk. A program that comes back has had its turn.
fn local(text: &mut Text, how: &LocalHow, firmware: Firmware) {
    let files = match how {
        _ if !firmware.is_uefi() => Vec::new(),
        LocalHow::Exit | LocalHow::Silence => Vec::new(),
        LocalHow::Auto | LocalHow::Sanboot => disk::programs(firmware),
        LocalHow::Efi(file) => vec![format!("/{}", file.replace('\\', "/").trim_start_matches('/'))],
    };
    if !files.is_empty() {
        let words: Vec<_> = files.iter().map(|file| word(file)).collect();
        text.line(&format!("for file in {}; do", words.join(" ")));
        text.line("if search --no-floppy --file --set=root \"$file\"; then");
        text.line("if chainloader \"$file\"; then");
        text.line("boot");
        text.line("fi");
        text.line("fi");
        text.line("done");
    }
    text.line(leave(firmware));
}
