//! The commands (src/hci/commands).

use std::time::Duration;

use super::line::Segment;
use super::menu::{Item, Menu, Preselected};
use super::options::{Parsed, parse};
use super::{Failed, Ipxe, Pending, Place, Purpose, Select, Status, Step, expand, images, settings};
use crate::clients::ipxe::profile_of;
use crate::clients::{View, Want};
use crate::finding::{Finding, FindingCode};
use crate::report::{Outcome, StepKind};
use crate::text::shown;

/// Commands that do nothing that a network sees and succeed.
#[rustfmt::skip]
const SILENT: &[&str] = &[
    "clear", "ifopen", "ifclose", "ifstat", "iflinkwait", "route", "ntp", "sync", "console", "colour", "cpair", "show",
    "config", "imgstat", "imgload", "sanunhook", "nstat", "ipstat", "help", "time", "ping", "nslookup", "lotest", "pciscan",
    "usbscan", "certstat", "certstore", "certfree", "imgmem", "fdt", "iwstat", "neighbour", "profstat",
];

/// Commands that a person answers, or that stock builds do not have.
const FAILING: &[&str] =
    &["imgtrust", "imgverify", "read", "login", "form", "present", "vcreate", "vdestroy", "cpuid"];

impl Ipxe {
    /// Runs one command. The words are expanded here, so that each sees what those before it have set.
    pub(super) fn command(&mut self, segment: &Segment, view: &mut View<'_>) -> Step {
        let mut words = Vec::new();
        for word in &segment.words {
            match expand::expand(word, &self.settings, view) {
                Ok(word) => words.push(word),
                Err(finding) => return Step::Done(Err(Failed(Some(finding)))),
            }
        }
        let Some((name, rest)) = words.split_first() else { return Step::Done(Ok(())) };
        match parse(name, rest) {
            Ok(parsed) => self.run_command(name, parsed, view),
            Err(word) if is_known(name) => {
                self.wrong(name, &format!("does not take {}", shown(word.as_bytes())))
            }
            Err(_) => self.unknown(name),
        }
    }

    fn unknown(&self, name: &str) -> Step {
        let message = format!("iPXE has no command {}", shown(name.as_bytes()));
        Step::Done(Err(Failed(Some(Finding::new(FindingCode::ScriptCommand, message, self.place_of_line())))))
    }

    fn wrong(&self, name: &str, what: &str) -> Step {
        let message = format!("{name} {what}");
        Step::Done(Err(Failed(Some(Finding::new(
            FindingCode::ScriptArguments,
            message,
            self.place_of_line(),
        )))))
    }

    fn run_command(&mut self, name: &str, parsed: Parsed, view: &mut View<'_>) -> Step {
        let words = parsed.words.as_slice();
        match (name, words) {
            ("echo", words) => {
                self.say(view, format!("echo {}", shown(words.join(" ").as_bytes())));
                Step::Done(Ok(()))
            }
            ("set", [name, value @ ..]) => {
                let done = self.settings.set(name, &value.join(" "));
                Step::Done(if done { Ok(()) } else { Err(Failed(None)) })
            }
            ("clear", [name]) => {
                Step::Done(if self.settings.set(name, "") { Ok(()) } else { Err(Failed(None)) })
            }
            ("inc", [name, rest @ ..]) => {
                let by = rest.first().and_then(|by| settings::number(by)).unwrap_or(1);
                self.settings.increase(name, by, view);
                Step::Done(Ok(()))
            }
            // What was expanded to nothing is no word any more.
            ("isset", words) => truth(words.iter().any(|word| !word.is_empty())),
            ("iseq", [left, right]) => truth(left == right),
            ("iseq", [one]) => truth(one.is_empty()),
            ("goto", [label]) => Step::Done(self.goto(label)),
            ("exit", []) => Step::Exit(0),
            ("exit", [status]) => match settings::number(status) {
                Some(status) => Step::Exit(status),
                None => self.wrong(name, "takes a number"),
            },
            ("sleep", [secs]) => match settings::number(secs) {
                Some(secs) => self.sleep(Duration::from_secs(secs.into()), Ok(())),
                None => self.wrong(name, "takes seconds"),
            },
            ("prompt", _) => match timeout(&parsed) {
                // Nobody presses a key.
                Some(timeout) => self.sleep(timeout, Err(Failed(None))),
                None => Step::Done(Ok(())),
            },
            ("dhcp" | "ifconf" | "autoboot", _) => {
                self.pending = Pending::Lease;
                Step::Wait(Want::Dhcp(profile_of(self.platform)))
            }
            ("params", _) => {
                self.params.clear();
                Step::Done(Ok(()))
            }
            ("param", [name, value @ ..]) => {
                if !parsed.has("header") {
                    self.params.push((name.clone(), value.join(" ")));
                }
                Step::Done(Ok(()))
            }
            ("shell", _) => Step::Wait(self.end_local(view, "a script opens a shell")),
            ("reboot", _) => Step::Wait(self.end_local(view, "a script reboots the machine")),
            ("poweroff", _) => Step::Wait(self.end_local(view, "a script switches the machine off")),
            ("menu" | "item" | "choose", _) => self.menu_command(name, &parsed, view),
            ("sanhook" | "sanboot", _) => self.san_command(name, &parsed, view),
            _ => self.image_command(name, &parsed, view),
        }
    }

    /// The end of a script that gives up is the end of what failed before.
    fn end_local(&self, view: &View<'_>, by: &str) -> Want {
        let outcome = match view.report.troubles().first() {
            Some(finding) => Outcome::Stopped(finding.clone()),
            None => Outcome::Local { by: by.to_owned() },
        };
        Want::End(outcome)
    }

    fn image_command(&mut self, name: &str, parsed: &Parsed, view: &mut View<'_>) -> Step {
        match (name, parsed.words.as_slice()) {
            ("boot" | "imgexec" | "chain", []) => match self.boot_selected() {
                Ok(want) => Step::Wait(want),
                Err(finding) => Step::Done(Err(Failed(Some(finding)))),
            },
            ("boot" | "imgexec" | "chain", [target, args @ ..]) => {
                let place = if parsed.has("replace") { Place::Instead } else { Place::Above };
                match self.image_named(target) {
                    Some(at) => {
                        if !args.is_empty() {
                            self.images[at].args = args.to_vec();
                        }
                        self.start_held(at, place)
                    }
                    None => self.fetch_for(target, Purpose::Run { place, args: args.to_vec() }, view),
                }
            }
            ("kernel" | "imgselect" | "imgload", [target, args @ ..]) => match self.image_named(target) {
                Some(at) => {
                    self.images.iter_mut().for_each(|image| image.selected = Select::No);
                    self.images[at].selected = Select::Yes;
                    Step::Done(Ok(()))
                }
                None => self.keep_for(target, args, parsed, Select::Yes, view),
            },
            ("initrd" | "imgfetch" | "module" | "shim", [target, args @ ..]) => {
                self.keep_for(target, args, parsed, Select::No, view)
            }
            ("imgargs", [target, args @ ..]) => match self.image_named(target) {
                Some(at) => {
                    self.images[at].args = args.to_vec();
                    Step::Done(Ok(()))
                }
                None => Step::Done(Err(Failed(None))),
            },
            ("imgfree", []) => {
                self.images.clear();
                Step::Done(Ok(()))
            }
            ("imgfree", [target]) => {
                self.images.retain(|image| image.name != *target);
                Step::Done(Ok(()))
            }
            (name, _) if SILENT.contains(&name) => Step::Done(Ok(())),
            (name, _) if FAILING.contains(&name) => Step::Done(Err(Failed(None))),
            (name, _) if is_known(name) => self.wrong(name, "lacks an argument or has one too many"),
            (name, _) => self.unknown(name),
        }
    }

    fn image_named(&self, name: &str) -> Option<usize> {
        self.images.iter().position(|image| image.name == name)
    }

    fn start_held(&mut self, at: usize, place: Place) -> Step {
        let image = &self.images[at];
        if super::is_script(&image.fetched.beginning) {
            return Step::Run(Box::new(image.fetched.clone()), place);
        }
        self.images.iter_mut().for_each(|image| image.selected = Select::No);
        self.images[at].selected = Select::Yes;
        match self.boot_selected() {
            Ok(want) => Step::Wait(want),
            Err(finding) => Step::Done(Err(Failed(Some(finding)))),
        }
    }

    fn keep_for(
        &mut self,
        target: &str,
        args: &[String],
        parsed: &Parsed,
        select: Select,
        view: &View<'_>,
    ) -> Step {
        let name = parsed.value("name").map(str::to_owned);
        self.fetch_for(target, Purpose::Keep { name, args: args.to_vec(), select }, view)
    }

    fn fetch_for(&mut self, target: &str, purpose: Purpose, view: &View<'_>) -> Step {
        match self.resolve(target, view) {
            Ok(url) => Step::Wait(self.fetch(url, purpose)),
            Err(finding) => Step::Done(Err(Failed(Some(finding)))),
        }
    }

    fn sleep(&mut self, duration: Duration, status: Status) -> Step {
        self.pending = Pending::Sleep(status);
        Step::Wait(Want::Sleep(duration))
    }

    fn menu_command(&mut self, name: &str, parsed: &Parsed, view: &mut View<'_>) -> Step {
        let key = |option| parsed.value(option).unwrap_or_default().to_owned();
        match (name, parsed.words.as_slice()) {
            ("menu", title) => {
                let key = key("name");
                if title.is_empty() || parsed.has("delete") {
                    self.menus.remove(&key);
                } else {
                    self.say(view, format!("menu {}", shown(title.join(" ").as_bytes())));
                    self.menus.insert(key, Menu::default());
                }
                Step::Done(Ok(()))
            }
            ("item", words) => {
                let is_default = if parsed.has("default") { Preselected::Yes } else { Preselected::No };
                let label = words.first().filter(|_| !parsed.has("gap")).cloned();
                let added =
                    self.menus.get_mut(&key("menu")).is_some_and(|menu| menu.add(Item { label, is_default }));
                Step::Done(if added { Ok(()) } else { Err(Failed(None)) })
            }
            (_, [setting]) => {
                let picked = self.menus.get(&key("menu")).and_then(|menu| menu.pick(parsed.value("default")));
                let Some(picked) = picked else { return Step::Done(Err(Failed(None))) };
                if !parsed.has("keep") {
                    self.menus.remove(&key("menu"));
                }
                self.settings.set(setting, &picked);
                let shown = shown(picked.as_bytes());
                match timeout(parsed) {
                    Some(timeout) => {
                        self.say(view, format!("nobody picks: {shown}"));
                        self.sleep(timeout, Ok(()))
                    }
                    None => {
                        self.say(view, format!("waits for somebody to pick; taken as {shown}"));
                        Step::Done(Ok(()))
                    }
                }
            }
            _ => self.wrong(name, "takes the name of a setting"),
        }
    }

    fn san_command(&mut self, name: &str, parsed: &Parsed, view: &mut View<'_>) -> Step {
        let initiator = self.settings.text("initiator-iqn", view);
        match (name, parsed.words.first()) {
            ("sanboot", None) => {
                let drive = parsed.value("drive").unwrap_or("0x80");
                Step::Wait(self.end_local(view, &format!("a script boots drive {}", shown(drive.as_bytes()))))
            }
            ("sanboot", Some(target)) => match images::san_outcome(target, initiator) {
                Ok(outcome) => Step::Wait(Want::End(outcome)),
                Err(finding) => Step::Done(Err(Failed(Some(finding)))),
            },
            (_, Some(target)) => match images::san_outcome(target, initiator) {
                Ok(outcome) => {
                    view.report.add(view.at, StepKind::Script, format!("attaches what {outcome}"));
                    Step::Done(Ok(()))
                }
                Err(finding) => Step::Done(Err(Failed(Some(finding)))),
            },
            (_, None) => self.wrong(name, "takes a URI"),
        }
    }
}

fn truth(is_true: bool) -> Step {
    Step::Done(if is_true { Ok(()) } else { Err(Failed(None)) })
}

/// `--timeout`, in milliseconds; zero is none.
fn timeout(parsed: &Parsed) -> Option<Duration> {
    let millis = settings::number(parsed.value("timeout")?)?;
    (millis > 0).then(|| Duration::from_millis(millis.into()))
}

/// Every command of iPXE, whether a played machine has a use for it or not.
fn is_known(name: &str) -> bool {
    #[rustfmt::skip]
    const OTHERS: &[&str] = &[
        "echo", "set", "clear", "inc", "isset", "iseq", "goto", "exit", "sleep", "prompt", "dhcp", "ifconf", "autoboot",
        "params", "param", "shell", "reboot", "poweroff", "menu", "item", "choose", "sanhook", "sanboot", "boot", "imgexec",
        "chain", "kernel", "imgselect", "imgload", "initrd", "imgfetch", "module", "shim", "imgargs", "imgfree",
        "imgextract", "pxebs", "startpxe", "stoppxe",
    ];
    OTHERS.contains(&name) || SILENT.contains(&name) || FAILING.contains(&name)
}
