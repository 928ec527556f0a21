//! iPXE: its scripts and what they lead to (src/core/exec.c, src/image/script.c, src/usr/autoboot.c).
//!
//! Left out: `autoexec.ipxe`, which builds of before 2022 do not look for; forms, consoles and everything else that a
//! person would have to look at are taken as done.

mod commands;
mod expand;
mod images;
mod line;
mod menu;
mod options;
mod settings;

use std::collections::{BTreeMap, VecDeque};

use images::Image;
use line::{Operator, Segment, label_of, segments};
use menu::Menu;
use settings::Settings;

use crate::clients::ipxe::{HABITS, profile_of};
use crate::clients::{Got, Platform, View, Want, stop};
use crate::fetch::Fetched;
use crate::finding::{Finding, FindingCode};
use crate::limits::{COMMANDS_MAX, SCRIPT_DEPTH_MAX, SCRIPT_RUNS_MAX};
use crate::report::{Outcome, StepKind};
use crate::text::shown;
use crate::url::{Url, UrlError};

/// A command failed. What stands behind it, if that is worth telling.
#[derive(Debug)]
struct Failed(Option<Finding>);

type Status = Result<(), Failed>;

/// What a command comes to.
#[derive(Debug)]
enum Step {
    /// It is done.
    Done(Status),
    /// It waits for this.
    Wait(Want),
    /// The script ends with this status.
    Exit(u32),
    /// A script or loader takes over, or the boot ends.
    Run(Box<Fetched>, Place),
}

/// Where a chained script goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Above the one that called it.
    Above,
    /// Into its place.
    Instead,
}

/// What a fetched file is for.
#[derive(Debug)]
enum Purpose {
    /// The file that DHCP named.
    Autoboot,
    Run {
        place: Place,
        args: Vec<String>,
    },
    Keep {
        name: Option<String>,
        args: Vec<String>,
        select: Select,
    },
}

/// Whether an image is the one that `boot` starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Select {
    Yes,
    No,
}

/// What the script waits for.
#[derive(Debug)]
enum Pending {
    Nothing,
    FirstLease,
    Lease,
    File(Purpose),
    Sleep(Status),
}

/// A script that runs.
#[derive(Debug)]
struct Frame {
    url: Url,
    lines: Vec<String>,
    /// The line that comes next, from 0.
    next: usize,
    /// What is left of the line under way.
    rest: VecDeque<Segment>,
}

/// How a machine's iPXE got where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    /// The last script ran out.
    RanOut,
    /// Its last command failed.
    Failed,
}

/// An iPXE.
#[derive(Debug)]
pub(crate) struct Ipxe {
    platform: Platform,
    /// Where it was loaded from; a ROM was not.
    own_url: Option<Url>,
    settings: Settings,
    images: Vec<Image>,
    menus: BTreeMap<String, Menu>,
    params: Vec<(String, String)>,
    frames: Vec<Frame>,
    runs: BTreeMap<String, u32>,
    commands: u32,
    /// The status that a script just ended with by `exit`, and nothing was done since.
    exited: Option<u32>,
    pending: Pending,
}

impl Ipxe {
    pub(crate) fn new(platform: Platform, own_url: Option<Url>) -> Self {
        let mut settings = Settings::default();
        settings.set_platform(platform);
        Self {
            platform,
            own_url,
            settings,
            images: Vec::new(),
            menus: BTreeMap::new(),
            params: Vec::new(),
            frames: Vec::new(),
            runs: BTreeMap::new(),
            commands: 0,
            exited: None,
            pending: Pending::Nothing,
        }
    }

    pub(crate) fn go(&mut self, got: Got, view: &mut View<'_>) -> Want {
        let pending = std::mem::replace(&mut self.pending, Pending::Nothing);
        match (pending, got) {
            (Pending::FirstLease, Got::NoLease(finding)) => stop(finding),
            (Pending::FirstLease, Got::Lease) => self.autoboot(view),
            (Pending::Lease, Got::Lease) => self.settle(Ok(()), view),
            (Pending::Lease, Got::NoLease(finding)) => self.settle(Err(Failed(Some(finding))), view),
            (Pending::File(Purpose::Autoboot), Got::NoFile(url, error)) => stop(error.finding(&url)),
            (Pending::File(_), Got::NoFile(url, error)) => {
                self.settle(Err(Failed(Some(error.finding(&url)))), view)
            }
            (Pending::File(purpose), Got::File(fetched)) => self.fetched(purpose, fetched, view),
            (Pending::Sleep(status), Got::Woke) => self.settle(status, view),
            _ => {
                self.pending = Pending::FirstLease;
                Want::Dhcp(profile_of(self.platform))
            }
        }
    }

    /// What follows the first lease: the file that DHCP names, else its SAN disk.
    fn autoboot(&mut self, view: &mut View<'_>) -> Want {
        let name = self.settings.text("filename", view);
        if name.is_empty() {
            let root_path = self.settings.text("root-path", view);
            if root_path.is_empty() {
                let evidence = "neither in the ACK nor from a proxy".to_owned();
                return stop(Finding::new(FindingCode::NoBootFile, "iPXE is given no boot file", evidence));
            }
            return match images::san_outcome(&root_path, self.settings.text("initiator-iqn", view)) {
                Ok(outcome) => Want::End(outcome),
                Err(finding) => stop(finding),
            };
        }
        let url = match expand::expand(&name, &self.settings, view) {
            Ok(name) => self.resolve(&name, view),
            Err(finding) => Err(finding),
        };
        match url {
            Ok(url) => self.fetch(url, Purpose::Autoboot),
            Err(finding) => stop(finding),
        }
    }

    fn fetch(&mut self, url: Url, purpose: Purpose) -> Want {
        self.pending = Pending::File(purpose);
        let form =
            if self.params.is_empty() { None } else { Some(expand::form(&std::mem::take(&mut self.params))) };
        Want::Fetch { url, habits: HABITS, form }
    }

    /// A name as a URL: beside the running script, else on the next-server.
    fn resolve(&self, name: &str, view: &View<'_>) -> Result<Url, Finding> {
        let parsed = match self.frames.last() {
            Some(frame) => frame.url.join(name),
            None => match settings::next_server(view) {
                Some(server) => Url::tftp(server, "").join(name),
                None => Url::parse(name),
            },
        };
        parsed.map_err(|error| match error {
            UrlError::Scheme(scheme) => Finding::new(
                FindingCode::UrlUnknown,
                format!("iPXE cannot fetch by {scheme}"),
                shown(name.as_bytes()),
            ),
            UrlError::Malformed => {
                Finding::new(FindingCode::UrlUnknown, "this is no URL", shown(name.as_bytes()))
            }
        })
    }

    fn fetched(&mut self, purpose: Purpose, fetched: Fetched, view: &mut View<'_>) -> Want {
        match purpose {
            Purpose::Autoboot => self.execute(&fetched, Place::Above, &[], view),
            Purpose::Run { place, args } => self.execute(&fetched, place, &args, view),
            Purpose::Keep { name, args, select } => {
                let status = self.keep(name, args, select, fetched);
                self.settle(status, view)
            }
        }
    }

    /// Runs what was fetched.
    fn execute(&mut self, fetched: &Fetched, place: Place, args: &[String], view: &mut View<'_>) -> Want {
        if !is_script(&fetched.beginning) {
            return match self.start_image(fetched, args) {
                Ok(want) => want,
                Err(finding) => self.settle(Err(Failed(Some(finding))), view),
            };
        }
        let url = fetched.url.clone();
        let runs = self.runs.entry(url.to_string()).or_default();
        *runs += 1;
        if *runs > SCRIPT_RUNS_MAX || self.frames.len() >= SCRIPT_DEPTH_MAX {
            let message = format!("{url}: the script leads back to itself");
            let finding = Finding::new(FindingCode::ScriptLoop, message, format!("run {runs} times"));
            return stop(view.report.troubles().first().cloned().unwrap_or(finding));
        }
        if place == Place::Instead {
            self.frames.pop();
        }
        let lines = line::lines(&String::from_utf8_lossy(&fetched.beginning));
        self.frames.push(Frame { url, lines, next: 0, rest: VecDeque::new() });
        self.run(view)
    }

    /// Runs commands until one waits.
    fn run(&mut self, view: &mut View<'_>) -> Want {
        loop {
            self.commands += 1;
            if self.commands > COMMANDS_MAX {
                let evidence = format!("{COMMANDS_MAX} commands");
                let finding = Finding::new(FindingCode::ScriptLoop, "the script does not end", evidence);
                return stop(view.report.troubles().first().cloned().unwrap_or(finding));
            }
            let Some(frame) = self.frames.last_mut() else { return self.leave(Leaving::RanOut, view) };
            let Some(segment) = frame.rest.pop_front() else {
                let Some(line) = frame.lines.get(frame.next) else {
                    // A script that ends has done well.
                    self.frames.pop();
                    if self.frames.is_empty() {
                        return self.leave(Leaving::RanOut, view);
                    }
                    self.note_status(Ok(()), view);
                    continue;
                };
                frame.next += 1;
                frame.rest = segments(line);
                continue;
            };
            if !segment.words.is_empty() {
                self.exited = None;
            }
            match self.command(&segment, view) {
                Step::Done(status) => {
                    if let Some(want) = self.take_status(status, view) {
                        return want;
                    }
                }
                Step::Wait(want) => return want,
                Step::Exit(status) => {
                    if let Some(want) = self.exit(status, view) {
                        return want;
                    }
                }
                Step::Run(fetched, place) => return self.execute(&fetched, place, &[], view),
            }
        }
    }

    /// A command that waited has its status; the script goes on.
    fn settle(&mut self, status: Status, view: &mut View<'_>) -> Want {
        match self.take_status(status, view) {
            Some(want) => want,
            None => self.run(view),
        }
    }

    /// What the status of a command means for its script; something, when there is no script left.
    fn take_status(&mut self, status: Status, view: &mut View<'_>) -> Option<Want> {
        let mut failed = self.note_status(status, view);
        while failed {
            self.frames.pop();
            if self.frames.is_empty() {
                return Some(self.leave(Leaving::Failed, view));
            }
            failed = self.note_status(Err(Failed(None)), view);
        }
        None
    }

    /// Skips what the line's operators skip; true when nothing is left of it and the status fails the script.
    fn note_status(&mut self, status: Status, view: &mut View<'_>) -> bool {
        let is_ok = status.is_ok();
        if let Err(Failed(Some(finding))) = status {
            view.report.trouble(view.at, finding);
        }
        let Some(frame) = self.frames.last_mut() else { return !is_ok };
        // A command that is skipped leaves the status as it is, so that `a && b || c` is what shells have.
        let runs = |segment: &Segment| match segment.operator {
            Operator::Or => !is_ok,
            Operator::And => is_ok,
            Operator::Then => true,
        };
        while frame.rest.front().is_some_and(|segment| !runs(segment)) {
            frame.rest.pop_front();
        }
        if !frame.rest.is_empty() {
            return false;
        }
        !is_ok
    }

    /// `exit`: the script is over, and its caller goes on by its status.
    fn exit(&mut self, status: u32, view: &mut View<'_>) -> Option<Want> {
        self.frames.pop();
        self.exited = Some(status);
        if self.frames.is_empty() {
            return Some(self.leave(Leaving::RanOut, view));
        }
        self.take_status(if status == 0 { Ok(()) } else { Err(Failed(None)) }, view)
    }

    /// iPXE ends, and the firmware goes on.
    fn leave(&self, how: Leaving, view: &View<'_>) -> Want {
        if let Some(finding) = view.report.troubles().first() {
            return stop(finding.clone());
        }
        match (self.exited, how) {
            (Some(status), _) => {
                Want::End(Outcome::Local { by: format!("a script ends with exit {status}") })
            }
            (None, Leaving::RanOut) => stop(Finding::new(
                FindingCode::ScriptEmpty,
                "the script ends without booting anything",
                String::new(),
            )),
            (None, Leaving::Failed) => {
                stop(Finding::new(FindingCode::ScriptFailed, "the script fails", String::new()))
            }
        }
    }

    fn place_of_line(&self) -> String {
        let frame = self.frames.last();
        frame.map(|frame| format!("{} line {}", frame.url, frame.next)).unwrap_or_default()
    }

    fn goto(&mut self, label: &str) -> Status {
        let place = self.place_of_line();
        let Some(frame) = self.frames.last_mut() else { return Err(Failed(None)) };
        match frame.lines.iter().position(|line| label_of(line) == Some(label)) {
            Some(at) => {
                frame.next = at;
                frame.rest.clear();
                Ok(())
            }
            None => Err(Failed(Some(Finding::new(
                FindingCode::ScriptLabel,
                format!("there is no label {}", shown(label.as_bytes())),
                place,
            )))),
        }
    }

    fn say(&self, view: &mut View<'_>, text: impl Into<String>) {
        view.report.add(view.at, StepKind::Script, text);
    }
}

/// `#!ipxe`, or `#!gpxe` of its forerunner.
fn is_script(bytes: &[u8]) -> bool {
    [b"#!ipxe", b"#!gpxe"].iter().any(|magic| {
        bytes.strip_prefix(*magic).is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
    })
}
