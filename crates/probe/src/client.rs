//! One machine from power-on to the end of its boot.

use std::fmt;
use std::time::Duration;

use crate::action::{Action, Input};
use crate::clients::{Got, Kind, Program, View, Want};
use crate::dhcp::{Event, Exchange, Identity, Lease};
use crate::fetch::Fetch;
use crate::finding::{Finding, FindingCode};
use crate::limits::{BOOT_TIME_MAX, FETCHES_MAX, LOADERS_MAX};
use crate::random::Random;
use crate::report::{Outcome, Report, StepKind};

/// What the machine waits for.
#[derive(Debug)]
enum Busy {
    Dhcp(Exchange),
    Fetch(Fetch),
    Sleep(Duration),
    Nothing,
}

/// A machine that boots.
///
/// After [`Client::start`], carry out the actions and call [`Client::handle`] with whatever happens next, at the latest with
/// [`Input::Timeout`] when [`Client::deadline`] has come, until there is an [`Client::outcome`].
pub struct Client {
    who: Identity,
    random: Random,
    started: Duration,
    program: Program,
    busy: Busy,
    lease: Option<Lease>,
    report: Report,
    outcome: Option<Outcome>,
    fetches: u32,
    loaders: u32,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("who", &self.who)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Switches a machine on. The seed makes its transaction numbers.
    pub fn start(kind: Kind, who: Identity, seed: u64, now: Duration) -> (Self, Vec<Action>) {
        let mut client = Self {
            who,
            random: Random::new(seed),
            started: now,
            program: Program::firmware(kind),
            busy: Busy::Nothing,
            lease: None,
            report: Report::default(),
            outcome: None,
            fetches: 0,
            loaders: 0,
        };
        client.note(now, StepKind::Start, format!("{} of {}", client.program.name(), who.mac));
        let mut out = Vec::new();
        client.go_on(Got::Control, now, &mut out);
        (client, out)
    }

    /// Takes what happened, and says what to do.
    pub fn handle(&mut self, now: Duration, input: Input<'_>) -> Vec<Action> {
        let mut out = Vec::new();
        if self.outcome.is_some() {
            return out;
        }
        if now.saturating_sub(self.started) >= BOOT_TIME_MAX {
            self.give_up("time is over", now);
            return out;
        }
        let got = match &mut self.busy {
            Busy::Dhcp(exchange) => {
                let events = match input {
                    Input::Frame(frame) => exchange.frame(frame, now, &mut out),
                    Input::Udp { from, bytes } => exchange.datagram(from, bytes),
                    Input::UdpRefused => exchange.refused(),
                    Input::Timeout if now >= exchange.deadline() => exchange.timeout(now, &mut out),
                    _ => Vec::new(),
                };
                self.dhcp_events(events, now)
            }
            Busy::Fetch(fetch) if input != Input::Timeout || now >= fetch.deadline() => {
                match fetch.handle(input, now, &mut out) {
                    None => None,
                    Some(Ok(fetched)) => {
                        let at = now.saturating_sub(self.started);
                        self.report.file(at, &fetched.file);
                        Some(Got::File(fetched))
                    }
                    Some(Err(error)) => Some(Got::NoFile(fetch.url().clone(), error)),
                }
            }
            Busy::Sleep(until) if input == Input::Timeout && now >= *until => Some(Got::Woke),
            Busy::Fetch(_) | Busy::Sleep(_) | Busy::Nothing => None,
        };
        if let Some(got) = got {
            self.go_on(got, now, &mut out);
        }
        out
    }

    /// When [`Input::Timeout`] is due; `None` once the boot has ended.
    pub fn deadline(&self) -> Option<Duration> {
        let until = match &self.busy {
            Busy::Dhcp(exchange) => exchange.deadline(),
            Busy::Fetch(fetch) => fetch.deadline(),
            Busy::Sleep(until) => *until,
            Busy::Nothing => return None,
        };
        Some(until.min(self.started + BOOT_TIME_MAX))
    }

    /// How the boot ended, once it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// What the machine saw.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Who boots.
    pub fn identity(&self) -> &Identity {
        &self.who
    }

    /// Bytes of files so far, the one under way included.
    pub fn received(&self) -> u64 {
        let under_way = if let Busy::Fetch(fetch) = &self.busy { fetch.received() } else { 0 };
        self.report.files().iter().fold(under_way, |sum, file| sum.saturating_add(file.bytes))
    }

    fn note(&mut self, now: Duration, kind: StepKind, text: impl Into<String>) {
        self.report.add(now.saturating_sub(self.started), kind, text);
    }

    fn dhcp_events(&mut self, events: Vec<Event>, now: Duration) -> Option<Got> {
        let mut got = None;
        for event in events {
            match event {
                Event::Step(kind, text) => self.note(now, kind, text),
                Event::Done(lease) => {
                    self.lease = Some(*lease);
                    got = Some(Got::Lease);
                }
                Event::Failed(finding) => got = Some(Got::NoLease(finding)),
            }
        }
        got
    }

    /// Lets the program go on until it waits for something or the boot ends.
    fn go_on(&mut self, got: Got, now: Duration, out: &mut Vec<Action>) {
        let mut next = Some(got);
        while let Some(got) = next.take() {
            let at = now.saturating_sub(self.started);
            let lease = self.lease.as_ref();
            let mut view = View { who: &self.who, lease, report: &mut self.report, at };
            match self.program.go(got, &mut view) {
                Want::Dhcp(profile) => {
                    let (exchange, events) = Exchange::start(profile, self.who, &mut self.random, now, out);
                    self.busy = Busy::Dhcp(exchange);
                    next = self.dhcp_events(events, now);
                }
                Want::Fetch { url, habits, form } => {
                    self.fetches += 1;
                    if self.fetches > FETCHES_MAX {
                        return self.give_up("too many files", now);
                    }
                    let name_server = self.lease.as_ref().and_then(Lease::dns);
                    let started =
                        Fetch::start(habits, url.clone(), form, name_server, &mut self.random, now, out);
                    match started {
                        Ok(fetch) => self.busy = Busy::Fetch(fetch),
                        Err(error) => next = Some(Got::NoFile(url, error)),
                    }
                }
                Want::Sleep(duration) => self.busy = Busy::Sleep(now.saturating_add(duration)),
                Want::Load(program) => {
                    self.loaders += 1;
                    if self.loaders > LOADERS_MAX {
                        return self.give_up("too many loaders that load loaders", now);
                    }
                    self.program = *program;
                    self.note(now, StepKind::Start, self.program.name());
                    next = Some(Got::Control);
                }
                Want::End(outcome) => self.end(outcome, now),
            }
        }
    }

    fn give_up(&mut self, why: &str, now: Duration) {
        // What failed first is what to mend; that there was no end of it comes from there.
        let finding = self.report.troubles().first().cloned().unwrap_or_else(|| {
            let last = self.report.steps().last().map(|step| step.text.clone()).unwrap_or_default();
            Finding::new(FindingCode::TooLong, format!("the boot does not end: {why}"), last)
        });
        self.end(Outcome::Stopped(finding), now);
    }

    fn end(&mut self, outcome: Outcome, now: Duration) {
        self.note(now, StepKind::End, outcome.to_string());
        self.busy = Busy::Nothing;
        self.outcome = Some(outcome);
    }
}
