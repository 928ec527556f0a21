//! Logging in (RFC 7143, sections 6.3 and 11.12): who it is, whether it may, and how both will talk.

use super::chap::{Challenge, Chap, Progress, Proof};
use super::connection::Portal;
use super::keys::{self, BadText, Keys};
use super::limits::{
    LOGIN_REQUESTS_MAX, LOGIN_SEGMENT_BYTES_MAX, NAME_BYTES_MAX, SEGMENT_BYTES_MAX, TEXT_BYTES_MAX,
};
use super::params::{Parameters, Reply, listed};
use super::pdu::Header;

/// What a session is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// Finding targets.
    Discovery,
    /// Using one.
    Normal {
        /// Its name.
        target: String,
    },
}

/// Who wants in, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRequest {
    /// The initiator's name.
    pub initiator: String,
    /// The initiator's part of the session identifier.
    pub isid: [u8; 6],
    /// The session that it wants to be part of; 0 for a new one.
    pub tsih: u16,
    /// What for.
    pub session: SessionKind,
}

/// What an initiator has to prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Nothing.
    None,
    /// That it knows a secret.
    Chap(Chap),
}

/// An initiator that may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// What it has to prove.
    pub authentication: Authentication,
    /// The names of the targets that it may know of.
    pub targets: Vec<String>,
}

/// Why a login fails: class and detail of its status (section 11.13.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Refusal {
    /// Something else is wrong with the initiator.
    Initiator = 0x0200,
    /// It did not prove who it is.
    Authentication = 0x0201,
    /// It may not use this target.
    Forbidden = 0x0202,
    /// There is no such target.
    NotFound = 0x0203,
    /// It speaks a version that we do not.
    Version = 0x0205,
    /// A key is missing.
    MissingParameter = 0x0207,
    /// It wants to add a connection to a session, of which each has only one.
    CannotInclude = 0x0208,
    /// There is no such kind of session.
    SessionType = 0x0209,
    /// There is no such session.
    NoSession = 0x020a,
    /// A login does not go like that.
    Request = 0x020b,
    /// The target cannot be used now.
    Unavailable = 0x0301,
    /// There are too many sessions.
    OutOfResources = 0x0302,
}

/// What comes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It is answered.
    Answer(Answered),
    /// The service decides whether this initiator goes on.
    Admit(LoginRequest),
    /// All is agreed on: the service makes a session.
    Ready,
    /// It fails.
    Refuse(Refusal),
}

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// The second byte: T, C and both stages.
    pub(super) flags: u8,
    /// Its keys.
    pub(super) text: Vec<u8>,
}

const TRANSIT: u8 = 0x80;
const SECURITY: u8 = 0;
const OPERATIONAL: u8 = 1;
const FULL: u8 = 3;

/// One login.
#[derive(Debug)]
pub(super) struct Login {
    challenge: Challenge,
    requests: u32,
    /// Text that goes on in the next request.
    text: Vec<u8>,
    stage: Option<u8>,
    who: Option<LoginRequest>,
    admission: Option<Admission>,
    proof: Option<Proof>,
    agreed: Parameters,
    seen: Vec<String>,
    /// The request that waits for the service.
    held: Option<(Header, Keys)>,
    /// The answer that waits for the service.
    ready: Option<Answered>,
    declared: Declared,
}

/// What we have told of ourselves.
#[derive(Debug, Default)]
struct Declared {
    group: bool,
    segment: bool,
}

impl Login {
    pub(super) fn new(challenge: Challenge) -> Self {
        Self {
            challenge,
            requests: 0,
            text: Vec::new(),
            stage: None,
            who: None,
            admission: None,
            proof: None,
            agreed: Parameters::default(),
            seen: Vec::new(),
            held: None,
            ready: None,
            declared: Declared::default(),
        }
    }

    /// Whether the service has to decide something before the next request.
    pub(super) fn waits(&self) -> bool {
        self.held.is_some() || self.ready.is_some()
    }

    /// Who it is, when it has said so.
    pub(super) fn who(&self) -> Option<&LoginRequest> {
        self.who.as_ref()
    }

    /// Takes a request.
    pub(super) fn request(&mut self, header: &Header, data: &[u8]) -> Action {
        self.take(header, data).unwrap_or_else(Action::Refuse)
    }

    /// The service lets it go on.
    pub(super) fn admit(&mut self, admission: Admission) -> Action {
        let Some((header, keys)) = self.held.take() else { return Action::Refuse(Refusal::Request) };
        if let Authentication::Chap(chap) = &admission.authentication {
            self.proof = Some(Proof::new(chap.clone(), self.challenge));
        }
        self.admission = Some(admission);
        self.step(&header, &keys).unwrap_or_else(Action::Refuse)
    }

    /// The session is there: the last answer, with what was agreed on and what the initiator may see.
    pub(super) fn finish(&mut self) -> Option<(Answered, Parameters, LoginRequest, Vec<String>)> {
        let answer = self.ready.take()?;
        let targets = self.admission.take()?.targets;
        Some((answer, self.agreed.settled(), self.who.take()?, targets))
    }

    /// Most bytes of a segment that the initiator may send from now on: only if we got to say so.
    pub(super) fn segment_max(&self) -> u32 {
        if self.declared.segment { self.segment_declared() } else { LOGIN_SEGMENT_BYTES_MAX }
    }

    /// Who looks for targets has nothing long to send, and no proof for that much room.
    fn segment_declared(&self) -> u32 {
        if self.is_normal() { SEGMENT_BYTES_MAX } else { LOGIN_SEGMENT_BYTES_MAX }
    }

    fn is_normal(&self) -> bool {
        self.who.as_ref().is_some_and(|who| who.session != SessionKind::Discovery)
    }

    fn take(&mut self, header: &Header, data: &[u8]) -> Result<Action, Refusal> {
        self.requests += 1;
        self.check(header)?;
        if self.text.len() + data.len() > TEXT_BYTES_MAX {
            return Err(Refusal::Request);
        }
        self.text.extend_from_slice(data);
        if header.goes_on() {
            let flags = stages(header) & 0x0c;
            return Ok(Action::Answer(Answered { flags, text: Vec::new() }));
        }
        let keys = Keys::parse(&std::mem::take(&mut self.text)).map_err(|bad| match bad {
            BadText::Syntax | BadText::Twice => Refusal::Initiator,
        })?;
        if self.admission.is_some() {
            return self.step(header, &keys);
        }
        let who = who(header, &keys)?;
        self.who = Some(who.clone());
        self.held = Some((*header, keys));
        Ok(Action::Admit(who))
    }

    /// The stages and the session, which have to be those that they were.
    fn check(&mut self, header: &Header) -> Result<(), Refusal> {
        let (current, next) = (stages(header) >> 2 & 3, stages(header) & 3);
        let version_min = header.0[3];
        if version_min > 0 {
            return Err(Refusal::Version);
        }
        let transits = header.last();
        let stage = *self.stage.get_or_insert(current);
        let ordered = !transits || (next > current && next != 2);
        let same =
            self.who.as_ref().is_none_or(|who| who.isid == header.array(8) && who.tsih == tsih(header));
        let known = current == SECURITY || current == OPERATIONAL;
        let one_end = !(transits && header.goes_on());
        if self.requests > LOGIN_REQUESTS_MAX || !known || current != stage || !ordered || !same || !one_end {
            return Err(Refusal::Request);
        }
        Ok(())
    }

    fn step(&mut self, header: &Header, keys: &Keys) -> Result<Action, Refusal> {
        let (current, next) = (stages(header) >> 2 & 3, stages(header) & 3);
        let mut text = Vec::new();
        if self.is_normal() && !self.declared.group {
            keys::put(&mut text, "TargetPortalGroupTag", &Portal::GROUP.to_string());
            self.declared.group = true;
        }
        if current == SECURITY {
            self.authenticate(keys, &mut text)?;
        } else if !self.proved() {
            return Err(Refusal::Authentication);
        }
        self.negotiate(keys, &mut text)?;
        if current == OPERATIONAL && !self.declared.segment {
            keys::put(&mut text, "MaxRecvDataSegmentLength", &self.segment_declared().to_string());
            self.declared.segment = true;
        }
        if text.len() > LOGIN_SEGMENT_BYTES_MAX as usize {
            return Err(Refusal::Request);
        }
        // T is an offer. iPXE makes it with every step of CHAP.
        if !header.last() || !self.proved() {
            return Ok(Action::Answer(Answered { flags: current << 2, text }));
        }
        let answer = Answered { flags: TRANSIT | current << 2 | next, text };
        if next == FULL {
            self.ready = Some(answer);
            return Ok(Action::Ready);
        }
        self.stage = Some(next);
        Ok(Action::Answer(answer))
    }

    fn proved(&self) -> bool {
        self.proof.as_ref().is_none_or(|proof| proof.progress == Progress::Proved)
    }

    fn authenticate(&mut self, keys: &Keys, text: &mut Vec<u8>) -> Result<(), Refusal> {
        if let Some(offer) = keys.get("AuthMethod") {
            let ours = if self.proof.is_some() { "CHAP" } else { "None" };
            let method = listed(offer, &[ours]).ok_or(Refusal::Authentication)?;
            keys::put(text, "AuthMethod", method);
        } else if self.proof.is_some() && self.requests == 1 {
            // It has not offered anything, which means None.
            return Err(Refusal::Authentication);
        }
        let Some(proof) = &mut self.proof else { return Ok(()) };
        proof.step(keys, text).map_err(|_| Refusal::Authentication)
    }

    fn negotiate(&mut self, keys: &Keys, text: &mut Vec<u8>) -> Result<(), Refusal> {
        for (key, offer) in keys.iter().filter(|(key, _)| !is_of_login(key)) {
            if self.seen.iter().any(|seen| seen == key) {
                return Err(Refusal::Initiator);
            }
            self.seen.push(key.into());
            if let Reply::Value(value) = self.agreed.negotiate(key, offer) {
                keys::put(text, key, &value);
            }
        }
        Ok(())
    }
}

fn stages(header: &Header) -> u8 {
    header.0[1]
}

fn tsih(header: &Header) -> u16 {
    u16::from_be_bytes(header.array(14))
}

/// Keys that are no operational parameters.
fn is_of_login(key: &str) -> bool {
    matches!(key, "InitiatorName" | "TargetName" | "SessionType" | "AuthMethod") || key.starts_with("CHAP_")
}

fn who(header: &Header, keys: &Keys) -> Result<LoginRequest, Refusal> {
    let name = |key| match keys.get(key) {
        Some(name) if (1..=NAME_BYTES_MAX).contains(&name.len()) => Ok(name.to_owned()),
        Some(_) => Err(Refusal::Initiator),
        None => Err(Refusal::MissingParameter),
    };
    let session = match keys.get("SessionType") {
        None | Some("Normal") => SessionKind::Normal { target: name("TargetName")? },
        Some("Discovery") => SessionKind::Discovery,
        Some(_) => return Err(Refusal::SessionType),
    };
    Ok(LoginRequest { initiator: name("InitiatorName")?, isid: header.array(8), tsih: tsih(header), session })
}
