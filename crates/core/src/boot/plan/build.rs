//! A boot of the config with its templates rendered for one machine.

use std::collections::BTreeSet;
use std::fmt;
use std::slice;

use super::{Action, Arg, ChapLogin, Entrusted, MenuEntry, Plan, SanDisk, Source, Tree, Waiting};
use crate::boot::choose::Choice;
use crate::boot::disk::{DiskId, Unnamed};
use crate::boot::escape::url_path;
use crate::boot::install::{self, Answered};
use crate::boot::template::{Context, RenderError, Server, Template};
use crate::config::{
    Boot, BootKind, BootName, Chap, Config, DiskBoot, DiskChap, Install, Location, Menu, Pxelinux, San,
    SanKernel, Vars,
};
use crate::model::{Facts, Firmware, Var};

/// The longest URL that a plan has. HTTP servers commonly take 8 KiB of request line; no honest URL comes near.
const URL_BYTES_MAX: usize = 2048;

/// The longest iSCSI URI: RFC 4173 section 5 asks for at most 255 bytes, as DHCP option 17 carries it.
const ISCSI_BYTES_MAX: usize = 255;

/// The longest kernel command line: what x86 kernels take (COMMAND_LINE_SIZE).
const CMDLINE_BYTES_MAX: usize = 2048;

/// Port, speed and flow control of a serial console.
const SERIAL_WORDS_MAX: usize = 3;

/// Schemes that loaders fetch from.
const SCHEMES: [&str; 5] = ["http", "https", "tftp", "ftp", "nfs"];

/// Why a boot cannot be planned for a machine, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// The boot.
    pub boot: BootName,
    /// The key of it.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot {}, {}: {}", self.boot, self.key, self.message)?;
        match &self.fix {
            Some(fix) => write!(f, "; {fix}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PlanError {}

/// What the templates of a boot read of a machine. A menu renders nothing of its entries.
pub fn reads(boot: &Boot) -> BTreeSet<Var> {
    templates(boot).into_iter().flat_map(|template| template.uses().iter().copied()).collect()
}

/// The keys of `vars` that the templates of a boot read.
pub fn reads_vars(boot: &Boot) -> BTreeSet<&str> {
    templates(boot).into_iter().flat_map(|template| template.vars().iter().map(String::as_str)).collect()
}

/// The passwords that the templates of a boot insert.
pub fn reads_passwords(boot: &Boot) -> BTreeSet<&str> {
    templates(boot).into_iter().flat_map(|template| template.passwords().iter().map(String::as_str)).collect()
}

fn templates(boot: &Boot) -> Vec<&Template> {
    fn of(location: &Location) -> Option<&Template> {
        match location {
            Location::File(_) => None,
            Location::Url(url) => Some(url),
        }
    }
    fn of_kernel(kernel: &SanKernel) -> impl Iterator<Item = &Template> {
        kernel.files().filter_map(of).chain([&kernel.cmdline])
    }
    match &boot.kind {
        BootKind::Local(_) | BootKind::Menu(_) | BootKind::Wait => Vec::new(),
        BootKind::Disk(disk) => disk.kernel.iter().flat_map(of_kernel).collect(),
        BootKind::Pxelinux(Pxelinux { cmdline, serial, menu_title, .. }) => vec![cmdline, serial, menu_title],
        BootKind::Linux { kernel, initrd, cmdline, shim } => {
            let files = slice::from_ref(kernel).iter().chain(initrd).chain(shim);
            files.filter_map(of).chain([cmdline]).collect()
        }
        BootKind::Chain { url } => vec![url],
        BootKind::Ipxe { script } => vec![script],
        BootKind::Efi { file } => of(file).into_iter().collect(),
        BootKind::San(san) => {
            let kernel = san.kernel.iter().flat_map(of_kernel);
            [&san.target].into_iter().chain(&san.initiator).chain(kernel).collect()
        }
        BootKind::Install(install) => {
            let files = slice::from_ref(&install.kernel).iter().chain(&install.initrd);
            let files = files.chain(&install.shim).chain(&install.source).filter_map(of);
            let answers = install.answers.iter().map(|answer| &answer.template);
            files.chain([&install.cmdline]).chain(answers).collect()
        }
    }
}

/// Makes the plan of a boot for a machine. `choice` gives the machine and its settings.
pub fn build(
    config: &Config,
    choice: &Choice<'_>,
    boot: &BootName,
    facts: &Facts,
    server: &Server,
    entrusted: Entrusted<'_>,
) -> Result<Plan, PlanError> {
    let boot = config.boot(boot);
    let vars = vars(boot, choice);
    let builder = Builder::new(config, boot, &vars, choice, facts, server);
    let action = match &boot.kind {
        BootKind::Local(how) => Action::Local(how.clone()),
        BootKind::Linux { kernel, initrd, cmdline, shim } => Action::Linux {
            kernel: builder.source("kernel", kernel)?,
            initrds: initrd.iter().map(|file| builder.source("initrd", file)).collect::<Result<_, _>>()?,
            args: builder.args(cmdline)?,
            shim: shim.as_ref().map(|file| builder.source("shim", file)).transpose()?,
            disk: None,
        },
        BootKind::Chain { url } => Action::Chain { url: builder.url("url", url)? },
        BootKind::Ipxe { script } => Action::Script { text: builder.render("script", script)? },
        BootKind::Pxelinux(pxelinux) => builder.pxelinux(pxelinux)?,
        BootKind::Efi { file } => builder.efi(file)?,
        BootKind::Menu(menu) => builder.menu(menu),
        BootKind::San(san) => builder.san(san)?,
        BootKind::Install(install) => builder.install(install, choice, entrusted)?,
        BootKind::Disk(disk) => builder.disk(disk, entrusted)?,
        BootKind::Wait => Action::Wait(Waiting::Name(facts.mac())),
    };
    Ok(Plan { boot: boot.name.clone(), action })
}

/// The text of a file for a machine: of a template that sees what those of its boot see, and what answers of an installer
/// do, with a word for the token.
pub fn text(
    config: &Config,
    choice: &Choice<'_>,
    boot: &BootName,
    facts: &Facts,
    server: &Server,
    template: &Template,
) -> Result<String, RenderError> {
    let boot = config.boot(boot);
    let vars = vars(boot, choice);
    let links = install::links(&server.url, install::HIDDEN_TOKEN);
    let context = Builder::new(config, boot, &vars, choice, facts, server).context;
    template.render(&Context { install: Some(&links), ..context })
}

/// An answer of an installation, by the token and the name that it is asked for by; `None` where it has none of this name.
pub fn answer(
    config: &Config,
    choice: &Choice<'_>,
    install: (&Boot, &Install),
    facts: &Facts,
    server: &Server,
    (token, name): (&str, &str),
) -> Option<Result<Answered, RenderError>> {
    let (boot, install) = install;
    let vars = vars(boot, choice);
    let links = install::links(&server.url, token);
    let context = Builder::new(config, boot, &vars, choice, facts, server).context;
    install::answer(install, name, &Context { install: Some(&links), ..context })
}

/// Values of machine over rule over boot.
fn vars(boot: &Boot, choice: &Choice<'_>) -> Vars {
    let mut vars = boot.vars.clone();
    vars.extend(choice.settings.vars.iter().map(|(key, value)| (key.clone(), value.clone())));
    vars
}

struct Builder<'a> {
    config: &'a Config,
    boot: &'a Boot,
    firmware: Option<Firmware>,
    context: Context<'a>,
}

impl<'a> Builder<'a> {
    fn new(
        config: &'a Config,
        boot: &'a Boot,
        vars: &'a Vars,
        choice: &Choice<'a>,
        facts: &'a Facts,
        server: &'a Server,
    ) -> Self {
        let passwords = &config.passwords;
        let machine = choice.machine;
        let context = Context { facts, machine, server, boot: &boot.name, vars, passwords, install: None };
        Self { config, boot, firmware: facts.firmware(), context }
    }

    fn error(&self, key: &'static str, message: impl Into<String>, fix: Option<&str>) -> PlanError {
        // Some quote what was rendered.
        let message = self.config.passwords.concealed(&message.into());
        let boot = self.boot.name.clone();
        PlanError { boot, key, message, fix: fix.map(str::to_owned) }
    }

    fn render(&self, key: &'static str, template: &Template) -> Result<String, PlanError> {
        template.render(&self.context).map_err(|error: RenderError| self.error(key, error.to_string(), None))
    }

    fn source(&self, key: &'static str, location: &Location) -> Result<Source, PlanError> {
        match location {
            Location::File(name) => Ok(Source::File(name.clone())),
            Location::Url(url) => self.url(key, url).map(Source::Url),
        }
    }

    fn url(&self, key: &'static str, template: &Template) -> Result<String, PlanError> {
        let rendered = self.render(key, template)?;
        let url = rendered.trim();
        let absolute = url.split_once("://").is_some_and(|(scheme, rest)| {
            SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) && !rest.is_empty()
        });
        if !absolute {
            let fix = format!("begin it with {}://", SCHEMES.join("://, "));
            return Err(self.error(key, format!("\"{url}\" is no URL that a loader can fetch"), Some(&fix)));
        }
        if url.len() > URL_BYTES_MAX {
            return Err(self.error(key, format!("the URL is longer than {URL_BYTES_MAX} bytes"), None));
        }
        if !is_one_word(url) {
            let fix = "write a blank in a URL as %20";
            return Err(self.error(key, format!("\"{url}\" has a blank or control character"), Some(fix)));
        }
        Ok(url.to_owned())
    }

    /// The arguments, split at blanks.
    fn args(&self, template: &Template) -> Result<Vec<Arg>, PlanError> {
        let line = self.render("cmdline", template)?;
        if line.len() > CMDLINE_BYTES_MAX {
            let message =
                format!("the command line is longer than the {CMDLINE_BYTES_MAX} bytes of a kernel");
            return Err(self.error("cmdline", message, None));
        }
        line.split_whitespace()
            .map(|word| {
                Arg::new(word).ok_or_else(|| {
                    self.error(
                        "cmdline",
                        format!("{word:?} cannot be an argument: it has a control character"),
                        None,
                    )
                })
            })
            .collect()
    }

    fn pxelinux(&self, pxelinux: &Pxelinux) -> Result<Action, PlanError> {
        let Pxelinux { file, cmdline, serial, menu_title } = pxelinux;
        let is_bios_program = file.to_ascii_lowercase().ends_with(".0");
        match self.firmware {
            Some(firmware) if firmware.is_uefi() && is_bios_program => Err(self.error(
                "file",
                format!("{file} runs on BIOS only, and this machine's firmware is {firmware}"),
                Some("name syslinux.efi for UEFI machines, or add a rule by firmware"),
            )),
            _ => Ok(Action::Pxelinux(Tree {
                file: file.clone(),
                args: self.args(cmdline)?,
                serial: self.serial(serial)?,
                menu_title: self.render("menu_title", menu_title)?.trim().to_owned(),
            })),
        }
    }

    /// `SERIAL port [speed [flow]]` (syslinux, serial.c): numbers, decimal or hexadecimal.
    fn serial(&self, template: &Template) -> Result<String, PlanError> {
        let rendered = self.render("serial", template)?;
        let words: Vec<&str> = rendered.split_whitespace().collect();
        let is_number = |word: &&str| {
            let digits = word.strip_prefix("0x").unwrap_or(word);
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())
        };
        if words.len() > SERIAL_WORDS_MAX || !words.iter().all(is_number) {
            let fix = "write the port and its speed, as 0 115200";
            return Err(self.error("serial", format!("\"{rendered}\" is no serial console"), Some(fix)));
        }
        Ok(words.join(" "))
    }

    fn efi(&self, file: &Location) -> Result<Action, PlanError> {
        match self.firmware {
            Some(firmware) if !firmware.is_uefi() => Err(self.error(
                "kind",
                format!("an EFI program cannot run on the firmware {firmware}"),
                Some("add a rule by firmware"),
            )),
            _ => Ok(Action::Efi { program: self.source("file", file)? }),
        }
    }

    /// Only for whom somebody armed it, or who picked it: a machine that is installed each time that it starts would
    /// never come to an end.
    fn install(
        &self,
        install: &Install,
        choice: &Choice<'_>,
        entrusted: Entrusted<'_>,
    ) -> Result<Action, PlanError> {
        if !choice.is_for_once() {
            let owner = choice.machine.map_or("MACHINE", |machine| &machine.name);
            let fix = format!("say `bootlace machines next-boot {owner} {}`", self.boot.name);
            return Err(self.error(
                "kind",
                "it installs a system, and is not armed for this machine",
                Some(&fix),
            ));
        }
        let Some(token) = entrusted.tokens.and_then(|tokens| tokens.token(&self.boot.name)) else {
            let fix = "give the machine its address by Bootlace's DHCP, or put it on a link of the server";
            let why = "nothing shows which machine this address is, so it gets no answers";
            return Err(self.error("answer", why, Some(fix)));
        };
        let base = Server::by_address(self.config, self.context.server.ip).url;
        let links = install::links(&base, &token);
        // What is wrong with an answer is told before anything is installed.
        let context = Context { install: Some(&links), ..self.context };
        for answer in &install.answers {
            let rendered = answer.template.render(&context);
            rendered.map_err(|error| self.error("answer", error.to_string(), None))?;
        }
        let source = match &install.source {
            None => None,
            Some(Location::File(name)) => Some(format!("{base}/{}", url_path(name))),
            Some(Location::Url(url)) => Some(self.url("source", url)?),
        };
        let words = install::arguments(install, &links, source.as_deref());
        let mut args: Vec<Arg> = words.iter().filter_map(|word| Arg::new(word)).collect();
        args.extend(self.args(&install.cmdline)?);
        Ok(Action::Linux {
            kernel: self.source("kernel", &install.kernel)?,
            initrds: install
                .initrd
                .iter()
                .map(|file| self.source("initrd", file))
                .collect::<Result<_, _>>()?,
            args,
            shim: install.shim.as_ref().map(|file| self.source("shim", file)).transpose()?,
            disk: None,
        })
    }

    fn menu(&self, menu: &Menu) -> Action {
        let entry =
            |boot: &BootName| MenuEntry { boot: boot.clone(), title: self.config.boot(boot).title.clone() };
        Action::Menu {
            title: menu.title.clone(),
            timeout: menu.timeout,
            entries: menu.entries.iter().map(entry).collect(),
            default: menu.default.clone(),
        }
    }

    fn san(&self, san: &San) -> Result<Action, PlanError> {
        let target = self.render("target", &san.target)?.trim().to_owned();
        check_iscsi_uri(&target).map_err(|why| {
            let fix = "write it as iscsi:SERVER:6:3260:LUN:TARGET (RFC 4173)";
            self.error("target", format!("\"{target}\" {why}"), Some(fix))
        })?;
        let initiator = match &san.initiator {
            None => None,
            Some(template) => {
                let name = self.render("initiator", template)?.trim().to_owned();
                if name.is_empty() || !is_one_word(&name) || name.len() > ISCSI_BYTES_MAX {
                    let fix = "write it as iqn.2007-08.com.example:NAME";
                    return Err(self.error(
                        "initiator",
                        format!("\"{name}\" is no initiator name"),
                        Some(fix),
                    ));
                }
                Some(name)
            }
        };
        self.on_disk(san.kernel.as_ref(), SanDisk { target, initiator, chap: san.chap.as_ref().map(login) })
    }

    /// What is started with a disk attached.
    fn on_disk(&self, kernel: Option<&SanKernel>, disk: SanDisk) -> Result<Action, PlanError> {
        let Some(SanKernel { kernel, initrd, cmdline }) = kernel else { return Ok(Action::San(disk)) };
        Ok(Action::Linux {
            kernel: self.source("kernel", kernel)?,
            initrds: initrd.iter().map(|file| self.source("initrd", file)).collect::<Result<_, _>>()?,
            args: self.args(cmdline)?,
            shim: None,
            disk: Some(disk),
        })
    }

    fn disk(&self, disk: &DiskBoot, entrusted: Entrusted<'_>) -> Result<Action, PlanError> {
        let Context { machine, facts, server, .. } = self.context;
        if machine.is_none() && facts.mac().is_some_and(|mac| self.config.machines.is_shared(mac)) {
            let fix = "write its uuid or serial into a [[machine]]";
            let why = "its card is one of several machines (`shared_macs`), so it gets no disk";
            return Err(self.error("kind", why, Some(fix)));
        }
        let id = DiskId::of(machine, facts, &self.boot.name);
        let (Some(names), Some(id)) = (entrusted.disks, id) else {
            let fix = "give the machine its address by Bootlace's DHCP, or put it on a link of the server";
            let why = "nothing shows which machine this address is, so it gets no disk";
            return Err(self.error("kind", why, Some(fix)));
        };
        let named = match names.name(&id, disk) {
            Ok(named) => named,
            Err(Unnamed::Later) => return Ok(Action::Wait(Waiting::Disk)),
            Err(Unnamed::Never(why)) => return Err(self.error("image", why, None)),
        };
        let target = format!("iscsi:{}:6:{}:0:{}", server.ip, self.config.iscsi.port, named.target);
        let chap = match &disk.chap {
            DiskChap::Off => None,
            DiskChap::Static(chap) => Some(login(chap)),
            DiskChap::PerBoot => {
                let username = id.machine().to_owned();
                Some(ChapLogin { username, password: named.secret, reverse: None })
            }
        };
        self.on_disk(disk.kernel.as_ref(), SanDisk { target, initiator: Some(id.initiator()), chap })
    }
}

fn login(chap: &Chap) -> ChapLogin {
    ChapLogin {
        username: chap.username.clone(),
        password: chap.password.clone(),
        reverse: chap.reverse.clone(),
    }
}

fn is_one_word(text: &str) -> bool {
    !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// `iscsi:<server>:<protocol>:<port>:<LUN>:<target>`, where server and target must be there. An IPv6 server
/// stands in brackets, and the target has colons of its own.
pub(crate) fn check_iscsi_uri(uri: &str) -> Result<(), &'static str> {
    if uri.len() > ISCSI_BYTES_MAX {
        return Err("is longer than 255 bytes");
    }
    if !is_one_word(uri) {
        return Err("has a blank or control character");
    }
    let rest = uri
        .get(.."iscsi:".len())
        .filter(|scheme| scheme.eq_ignore_ascii_case("iscsi:"))
        .and_then(|_| uri.get("iscsi:".len()..))
        .ok_or("does not begin with iscsi:")?;
    let (server, rest) = match rest.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once("]:").ok_or("has a `[` without `]:`")?,
        None => rest.split_once(':').ok_or("has no target name")?,
    };
    let parts: Vec<&str> = rest.splitn(4, ':').collect();
    let [protocol, port, lun, target] = parts.as_slice() else {
        return Err("has fewer than the five parts after iscsi:");
    };
    let lun_is_fine = lun.split('-').count() <= 4
        && lun.split('-').all(|group| group.len() <= 4 && group.bytes().all(|b| b.is_ascii_hexdigit()));
    match () {
        () if server.is_empty() => Err("has no server"),
        () if !matches!(*protocol, "" | "6") => Err("has another protocol than TCP, which is 6 or nothing"),
        () if !port.is_empty() && port.parse::<u16>().is_err() => Err("has a port that is no number"),
        () if !lun_is_fine => Err("has a LUN that is not hexadecimal, as 0 or 1-0-0-0"),
        () if target.is_empty() => Err("has no target name"),
        () => Ok(()),
    }
}
