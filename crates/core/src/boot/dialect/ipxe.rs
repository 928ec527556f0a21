//! iPXE scripts.
//!
//! They run on every build since 2011: no `params`, no `console`, and whatever may be missing or fail has a
//! way out behind `||`. A boot that fails says so on the screen, waits, and leaves iPXE so that the firmware
//! goes on: a machine never loops here.

use std::time::Duration;

use super::screen::{self, MESSAGE_SECS};
use crate::boot::escape::{query_value, script_word, script_words};
use crate::boot::plan::{Action, Arg, MenuEntry, Plan, SanDisk, Source, Tree, Waiting};
use crate::boot::template::Server;
use crate::config::{BootName, LocalHow, Secret};
use crate::model::{Firmware, Var};

mod report;

pub use report::{autoexec, identify, report_url};

/// The platforms that iPXE tells apart (its `platform` setting).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// `pcbios`.
    Bios,
    /// `efi`.
    Efi,
}

impl From<Firmware> for Platform {
    fn from(firmware: Firmware) -> Self {
        if firmware.is_uefi() { Self::Efi } else { Self::Bios }
    }
}

/// What a script needs to know beside its plan.
#[derive(Clone, Copy, Debug)]
pub struct ScriptContext<'a> {
    /// How the machine reaches the server.
    pub server: &'a Server,
    /// What iPXE runs on.
    pub platform: Platform,
    /// What a menu sends along with the choice, so that the same decision leads to it again.
    pub reports: &'a [Var],
}

/// A script under construction.
struct Script {
    text: String,
    /// What `${step}` holds at this point.
    step: &'static str,
}

impl Script {
    fn new() -> Self {
        Self { text: "#!ipxe\n".to_owned(), step: "" }
    }

    /// Adds a line. The caller has made every value in it one word.
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Adds a command that `step` names on the screen when it fails.
    fn step(&mut self, step: &'static str, command: &str) {
        if self.step != step {
            self.line(&format!("set step {step}"));
            self.step = step;
        }
        self.line(&format!("{command} || goto failed"));
    }

    /// Shows a text, wrapped.
    fn say(&mut self, text: &str) {
        for line in screen::lines(&script_words(text)) {
            self.line(&format!("echo {line}"));
        }
    }

    /// Lets the firmware go on with its next boot device.
    fn leave(&mut self, platform: Platform) {
        self.line(leave(platform));
    }

    /// What happens when a step fails.
    fn failed(mut self, plan: &Plan, platform: Platform) -> String {
        self.line(":failed");
        self.line(&format!("echo Bootlace: boot {} failed at this step: ${{step}}", plan.boot));
        if let Action::Linux { disk: Some(_), .. } = plan.action {
            // It would be in the way of the next device.
            self.line("sanunhook ||");
        }
        self.wait_and_leave(platform);
        self.text
    }

    fn wait_and_leave(&mut self, platform: Platform) {
        self.line(&format!("echo Going on with the next boot device in {MESSAGE_SECS} seconds"));
        self.line(&format!("sleep {MESSAGE_SECS} ||"));
        self.leave(platform);
    }
}

/// EDK2's boot manager stops at a program that returns success, and goes on to the next boot option after one
/// that returns an error; a BIOS goes on in any case.
fn leave(platform: Platform) -> &'static str {
    match platform {
        Platform::Bios => "exit",
        Platform::Efi => "exit 1",
    }
}

/// The script of a plan.
pub fn render(plan: &Plan, context: &ScriptContext<'_>) -> String {
    let mut script = Script::new();
    let platform = context.platform;
    match &plan.action {
        Action::Script { text } => return own_script(text),
        Action::Local(how) => {
            local(&mut script, how, platform);
            return script.text;
        }
        Action::Wait(waiting) => {
            wait(&mut script, context, *waiting);
            return script.text;
        }
        Action::Menu { title, timeout, entries, default } => {
            menu(&mut script, context, (title, *timeout), entries, default);
        }
        Action::Linux { kernel, initrds, args, shim, disk } => {
            announce(&mut script, plan);
            if let Some(disk) = disk {
                hook(&mut script, disk);
            }
            linux(&mut script, context, (kernel, initrds, args), shim.as_ref());
        }
        Action::Chain { url } => {
            announce(&mut script, plan);
            program(&mut script, &script_word(url), platform);
        }
        Action::Pxelinux(Tree { file, .. }) => {
            announce(&mut script, plan);
            pxelinux(&mut script, context, file);
        }
        Action::Efi { program: source } => {
            announce(&mut script, plan);
            program(&mut script, &url_of(source, context.server), platform);
        }
        Action::San(disk) => {
            announce(&mut script, plan);
            san(&mut script, disk);
        }
    }
    script.failed(plan, platform)
}

/// A script that says on the screen why there is no boot.
pub fn problem(text: &str, platform: Platform) -> String {
    let mut script = Script::new();
    script.say(&format!("Bootlace: {text}"));
    script.wait_and_leave(platform);
    script.text
}

/// A script for an iPXE that lacks something: sends it into a loader of ours.
pub fn chain_loader(loader: &str, lacks: &str, server: &Server, platform: Platform) -> String {
    let folder = if loader.contains('/') { "" } else { "ipxe/" };
    let url = format!("{}/{folder}{}", server.url, path(loader));
    let mut script = Script::new();
    script.say(&format!("Bootlace: this iPXE lacks {lacks}, loading {loader}"));
    script.line(&format!("chain --autofree {url} ||"));
    script.say(&format!("Bootlace: {loader} could not be loaded"));
    script.wait_and_leave(platform);
    script.text
}

/// How long a machine that nobody knows waits before it asks again.
const NAME_WAIT_SECS: u32 = 10;

/// The same of one whose disk is nearly there.
const DISK_WAIT_SECS: u32 = 3;

/// Ctrl-C leaves.
fn wait(script: &mut Script, context: &ScriptContext<'_>, waiting: Waiting) {
    let platform = context.platform;
    let secs = match waiting {
        Waiting::Name(mac) => {
            let id = mac.map_or_else(|| "MAC".to_owned(), |mac| mac.to_string());
            script
                .say("Bootlace: this machine is not known yet. It waits until somebody says on the server:");
            script.say(&format!("bootlace machines adopt {id} NAME"));
            NAME_WAIT_SECS
        }
        Waiting::Disk => {
            script.say("Bootlace: the image of this machine's disk is new and is being read. It starts by itself after that");
            DISK_WAIT_SECS
        }
    };
    script.line(&format!("sleep {secs} || {}", leave(platform)));
    if waiting == Waiting::Disk {
        // What was asked for, with what was picked in a menu; builds before 2013 do not know it.
        script.line("chain --replace --autofree ${cwuri} ||");
    }
    script.line(&format!("chain --replace --autofree {}/boot.ipxe ||", context.server.url));
    script.say("Bootlace: the server does not answer");
    script.wait_and_leave(platform);
}

fn announce(script: &mut Script, plan: &Plan) {
    script.line(&format!("echo Bootlace: boot {}", plan.boot));
}

/// The user's script as it is, but recognisable as one and with the line ends that every build takes.
fn own_script(text: &str) -> String {
    let mut out = if text.starts_with("#!ipxe") { String::new() } else { Script::new().text };
    out.push_str(&text.replace("\r\n", "\n"));
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// The machine's own disk. On UEFI only builds of 2024 and later start local disks; older ones fail and leave.
fn local(script: &mut Script, how: &LocalHow, platform: Platform) {
    let leave = leave(platform);
    match (how, platform) {
        (LocalHow::Auto | LocalHow::Exit | LocalHow::Silence, _) | (LocalHow::Efi(_), Platform::Bios) => {
            script.line(leave);
        }
        (LocalHow::Sanboot, Platform::Bios) => {
            script.line(&format!("sanboot --no-describe --drive 0x80 || {leave}"));
        }
        (LocalHow::Sanboot, Platform::Efi) => {
            script.line(&format!("sanboot --no-describe --drive 0 || {leave}"));
        }
        (LocalHow::Efi(file), Platform::Efi) => {
            let file = script_word(&file.replace('/', "\\"));
            script.line(&format!("sanboot --no-describe --drive 0 --filename {file} || {leave}"));
        }
    }
}

/// A kernel with its initial file systems. A UEFI kernel loads them itself, by name, out of the file system
/// that iPXE shows it: each needs a name and an `initrd=` argument. BIOS builds hand them over in memory.
///
/// `shim` fetches nothing but where firmware would not start the kernel by itself. Builds without the command, and
/// those whose download fails, go on: without Secure Boot the kernel starts all the same.
fn linux(
    script: &mut Script,
    context: &ScriptContext<'_>,
    (kernel, initrds, args): (&Source, &[Source], &[Arg]),
    shim: Option<&Source>,
) {
    let name = |at: usize| format!("initrd{at}.img");
    let mut words = vec![format!("kernel {}", url_of(kernel, context.server))];
    if context.platform == Platform::Efi {
        words.extend((0..initrds.len()).map(|at| format!("initrd={}", name(at))));
    }
    words.extend(args.iter().map(|arg| script_word(arg.as_str())));
    free_images(script);
    script.step("kernel", &words.join(" "));
    for (at, initrd) in initrds.iter().enumerate() {
        let url = url_of(initrd, context.server);
        match context.platform {
            Platform::Bios => script.step("initrd", &format!("initrd {url}")),
            Platform::Efi => script.step("initrd", &format!("initrd --name {} {url}", name(at))),
        }
    }
    if let (Some(shim), Platform::Efi) = (shim, context.platform) {
        script.line(&format!("shim {} ||", url_of(shim, context.server)));
    }
    script.step("start", "boot");
}

/// Forgets what scripts before this one, or an earlier attempt, fetched: iPXE hands every image that it has to what it
/// starts, and a kernel takes each for an initial file system. Scripts that run are on no list of images and stay.
fn free_images(script: &mut Script) {
    script.line("imgfree");
}

/// A program or script at a URL. It may be a kernel, too, also one with an EFI stub. When it comes back without an
/// error it has had its turn.
fn program(script: &mut Script, url: &str, platform: Platform) {
    free_images(script);
    script.step("load", &format!("chain --autofree {url}"));
    script.leave(platform);
}

/// pxelinux looks for its modules and its pxelinux.cfg beside itself when option 210 names that place by URL.
fn pxelinux(script: &mut Script, context: &ScriptContext<'_>, file: &str) {
    let folder = file.rfind('/').map_or("", |slash| &file[..=slash]);
    script.line(&format!("set 210:string {}/{}", context.server.url, path(folder)));
    program(script, &format!("{}/{}", context.server.url, path(file)), context.platform);
}

fn menu(
    script: &mut Script,
    context: &ScriptContext<'_>,
    (title, timeout): (&str, Option<Duration>),
    entries: &[MenuEntry],
    default: &BootName,
) {
    script.step("menu", &format!("menu {}", script_words(title)));
    for entry in entries {
        script.line(&format!("item {} {}", entry.boot, script_words(&entry.title)));
    }
    let timeout = timeout.map_or_else(String::new, |timeout| format!(" --timeout {}", timeout.as_millis()));
    // Escape makes `choose` fail.
    script.line(&format!("choose --default {default}{timeout} choice || goto local"));
    let url = format!("{}&boot=${{choice}}", report_url(context.reports, context.server));
    script.step("load", &format!("chain --replace --autofree {url}"));
    script.line(":local");
    local(script, &LocalHow::Auto, context.platform);
}

fn san(script: &mut Script, disk: &SanDisk) {
    login(script, disk);
    // A disk that stays attached after a failure would be in the way of the next device.
    script.line("set keep-san 0 ||");
    script.step("SAN", &format!("sanboot {}", script_word(&disk.target)));
}

/// Attaches a disk and describes it to whatever is started after it (iBFT).
fn hook(script: &mut Script, disk: &SanDisk) {
    login(script, disk);
    script.line("set keep-san 1 ||");
    script.step("SAN", &format!("sanhook {}", script_word(&disk.target)));
}

fn login(script: &mut Script, SanDisk { initiator, chap, .. }: &SanDisk) {
    if let Some(initiator) = initiator {
        script.line(&format!("set initiator-iqn {}", script_word(initiator)));
    }
    if let Some(chap) = chap {
        set_secret(script, "username", &chap.username);
        set_secret(script, "password", chap.password.expose());
        if let Some((name, secret)) = &chap.reverse {
            set_secret(script, "reverse-username", name);
            set_secret(script, "reverse-password", Secret::expose(secret));
        }
    }
}

/// Sets a text that must arrive unchanged: what iPXE would split, join or expand goes over as bytes.
fn set_secret(script: &mut Script, setting: &str, text: &str) {
    let plain =
        text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':' | b'@'));
    if plain && !text.starts_with('-') {
        script.line(&format!("set {setting} {text}"));
    } else {
        let bytes: Vec<_> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        script.line(&format!("set {setting}:hex {}", bytes.join(":")));
    }
}

fn url_of(source: &Source, server: &Server) -> String {
    match source {
        Source::File(name) => format!("{}/{}", server.url, path(name)),
        Source::Url(url) => script_word(url),
    }
}

/// A served name as the path of a URL.
fn path(name: &str) -> String {
    name.split('/').map(query_value).collect::<Vec<_>>().join("/")
}
