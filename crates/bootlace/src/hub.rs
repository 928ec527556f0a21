//! Where facts about boots come together: every service records its events here and asks here who a peer is.

mod installs;
mod learned;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bootlace_core::dhcp::{Lease, LeaseState, Told};
use bootlace_core::event::{Event, EventKind, FileOutcome};
use bootlace_core::files::Identity;
use bootlace_core::learn::Learned;
use bootlace_core::model::Timestamp;
use bootlace_core::oneshot::Taker;
use bootlace_core::session::{SILENCE, Session, SessionId, Sessions};
use bootlace_store::StoreError;
use bootlace_store::journal::{Fate, Handle, Record};
use bootlace_wire::HwAddr;

use crate::counters::{Counter, Counters};
use crate::one_shots::Book;
use crate::tokens::Tokens;
use crate::{logging, net};

pub use installs::{INSTALLS_MAX, Installs};
pub use learned::{Pinned, Waker};

/// Addresses remembered that machines without a lease of ours reported as theirs; beyond it none is learned until
/// others have ended.
pub const REPORTED_MAX: usize = 10_000;

/// Neighbours whose address is remembered; beyond it all are forgotten, and asked for again.
pub const NEIGHBOURS_MAX: usize = 10_000;
/// A machine's boot asks for dozens of files within a second; another machine does not take over its address that
/// fast.
const NEIGHBOUR_AGE_MAX: Duration = Duration::from_secs(1);

/// The wall clock, read once per packet or request.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Who asks from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// The machine, if it is known at all.
    pub hw: Option<HwAddr>,
    /// Whether that fits with what it says of itself.
    pub identity: Identity,
}

/// Who has an address, and until when that is sure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Who.
    pub hw: HwAddr,
    /// The end of the lease, or of what a report is good for.
    pub until: Timestamp,
    /// What the lease remembers of its holder; most have nothing.
    pub told: Option<Box<Told>>,
}

impl Held {
    /// By a lease, while that is bound.
    pub fn by(lease: &Lease) -> Option<Self> {
        let told = || Some(lease.told()).filter(|told| !told.is_empty()).map(Box::new);
        let held = || Self { hw: lease.hw, until: lease.until, told: told() };
        (lease.state == LeaseState::Bound).then(held)
    }
}

/// Who holds which address by lease, and the other way round.
#[derive(Default)]
struct Leased {
    holders: HashMap<Ipv4Addr, Held>,
    /// The last one of each machine.
    addresses: HashMap<HwAddr, Ipv4Addr>,
}

impl Leased {
    fn change(&mut self, ip: Ipv4Addr, holder: Option<Held>) {
        let now_of = holder.as_ref().map(|held| held.hw);
        let before = match holder {
            Some(held) => self.holders.insert(ip, held),
            None => self.holders.remove(&ip),
        };
        if let Some(before) = before
            && self.addresses.get(&before.hw) == Some(&ip)
        {
            self.addresses.remove(&before.hw);
        }
        if let Some(hw) = now_of {
            self.addresses.insert(hw, ip);
        }
    }
}

/// Sessions, the journal and the book of addresses.
pub struct Hub {
    sessions: Mutex<Sessions>,
    leased: RwLock<Leased>,
    reported: Mutex<HashMap<Ipv4Addr, Held>>,
    /// Read so lately from the kernel that it is not asked again.
    neighbours: Mutex<HashMap<Ipv4Addr, (Option<HwAddr>, Timestamp)>>,
    journal: Handle,
    counters: Arc<Counters>,
    one_shots: Book,
    installs: Installs,
    learned: Mutex<Learned>,
    waker: OnceLock<Waker>,
    /// Why leases cannot be stored.
    unstored: Mutex<Option<StoreError>>,
}

/// What an event is to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It took it further.
    Step,
    /// It is where it was.
    Repeats,
}

impl Hub {
    /// Starts with the next session number and what the leases say now.
    pub fn new(next: SessionId, leased: impl IntoIterator<Item = (Ipv4Addr, Held)>, journal: Handle) -> Self {
        let mut book = Leased::default();
        leased.into_iter().for_each(|(ip, held)| book.change(ip, Some(held)));
        Self {
            sessions: Mutex::new(Sessions::new(next)),
            leased: RwLock::new(book),
            reported: Mutex::new(HashMap::new()),
            neighbours: Mutex::new(HashMap::new()),
            journal,
            counters: Arc::default(),
            one_shots: Book::default(),
            installs: Installs::default(),
            learned: Mutex::default(),
            waker: OnceLock::new(),
            unstored: Mutex::new(None),
        }
    }

    /// The same with one-shots.
    #[must_use]
    pub fn with_one_shots(self, one_shots: Book) -> Self {
        Self { one_shots, ..self }
    }

    /// The same with tokens for installers.
    #[must_use]
    pub fn with_tokens(self, tokens: Tokens) -> Self {
        Self { installs: Installs::with(tokens), ..self }
    }

    /// Machines that are being installed.
    pub fn installs(&self) -> &Installs {
        &self.installs
    }

    /// One-shots.
    pub fn one_shots(&self) -> &Book {
        &self.one_shots
    }

    /// The machine's session, which begins now unless there is one.
    pub fn taker(&self, hw: HwAddr, now: Timestamp) -> Option<Taker> {
        lock(&self.sessions).current_or_new(hw, now).map(Session::taker)
    }

    /// A machine asks for a name, by which it may show that it has started again.
    pub fn asked(&self, hw: HwAddr, name: &str, now: Timestamp) {
        lock(&self.sessions).restart(hw, name, now);
    }

    /// Whether this session still goes on.
    pub fn is_open(&self, taker: Taker, now: Timestamp) -> bool {
        lock(&self.sessions).is_open(taker.session, now)
    }

    /// Takes an event into its session, the log and the journal. Never waits.
    pub fn record(&self, event: Event) {
        let (session, progress) = self.apply(&event);
        self.learn(&event);
        if let (EventKind::File(file), Some(session), Some(hw)) = (&event.kind, session, event.peer.hw)
            && let FileOutcome::Sent { .. } = file.outcome
        {
            self.one_shots.sent(hw, session, file.name.as_str());
        }
        // Not under the lock: the other threads need not wait for the log.
        logging::event(&event, session, progress);
        let is_nothing = event.is_between_others() || (event.is_plain_lease() && event.is_offer());
        if session.is_none() && is_nothing {
            return;
        }
        match self.journal.send(Record { session, event, repeats: 0 }) {
            Fate::Kept => {}
            // The journal counts them, and also what it loses later.
            Fate::Folded | Fate::Dropped => self.count_journal(),
        }
    }

    fn apply(&self, event: &Event) -> (Option<SessionId>, Progress) {
        let mut sessions = lock(&self.sessions);
        let mark = |sessions: &Sessions| {
            event.peer.hw.and_then(|hw| sessions.current(hw, event.at)).map(Session::mark)
        };
        let before = mark(&sessions);
        let session = sessions.apply(event);
        self.counters.reached(Counter::SessionsForgotten, sessions.forgotten());
        let progress = if mark(&sessions) == before { Progress::Repeats } else { Progress::Step };
        (session, progress)
    }

    /// Looks into the machine's open session.
    pub fn with_session<T>(&self, hw: HwAddr, now: Timestamp, look: impl FnOnce(Option<&Session>) -> T) -> T {
        look(lock(&self.sessions).current(hw, now))
    }

    /// Who uses an address: by our lease, else by the kernel's neighbour table, else by what it reported. A report of a machine
    /// that is known to be elsewhere is none: whoever says it has no part in that machine's session.
    pub fn who(&self, ip: Ipv4Addr, now: Timestamp) -> Option<HwAddr> {
        let reported = || {
            let reported = sure(lock(&self.reported).get(&ip), now);
            reported.filter(|hw| !self.is_elsewhere(*hw, ip, now))
        };
        self.lease_holder(ip, now).or_else(|| self.neighbour(ip, now)).or_else(reported)
    }

    /// Whether a lease or the neighbour table shows that a machine has another address than this.
    pub fn is_elsewhere(&self, hw: HwAddr, ip: Ipv4Addr, now: Timestamp) -> bool {
        let leased = self.leased.read().unwrap_or_else(PoisonError::into_inner).addresses.get(&hw).copied();
        let of_session = self.with_session(hw, now, |session| session.and_then(|session| session.address));
        let is_there = |other: &Ipv4Addr| {
            *other != ip && self.lease_holder(*other, now).or_else(|| self.neighbour(*other, now)) == Some(hw)
        };
        leased.filter(is_there).or_else(|| of_session.filter(is_there)).is_some()
    }

    /// Who a request comes from, which may claim to be a machine. What a lease or the neighbour table shows is
    /// stronger than the claim; where neither shows anything, a claim is all there is, made now or before.
    pub fn identify(&self, ip: Ipv4Addr, claimed: Option<HwAddr>, now: Timestamp) -> Who {
        match (self.lease_holder(ip, now).or_else(|| self.neighbour(ip, now)), claimed) {
            (Some(seen), Some(claimed)) if seen != claimed => {
                Who { hw: Some(seen), identity: Identity::Contradicted }
            }
            (Some(seen), _) => Who { hw: Some(seen), identity: Identity::Confirmed },
            (None, claimed) => {
                let reported = || sure(lock(&self.reported).get(&ip), now);
                Who { hw: claimed.or_else(reported), identity: Identity::Claimed }
            }
        }
    }

    /// What the lease of an address remembers of its holder. It outlives a session, and the server.
    pub fn remembered(&self, ip: Ipv4Addr, now: Timestamp) -> Option<Told> {
        let leased = self.leased.read().unwrap_or_else(PoisonError::into_inner);
        leased.holders.get(&ip).filter(|held| held.until > now)?.told.as_deref().cloned()
    }

    fn lease_holder(&self, ip: Ipv4Addr, now: Timestamp) -> Option<HwAddr> {
        sure(self.leased.read().unwrap_or_else(PoisonError::into_inner).holders.get(&ip), now)
    }

    fn neighbour(&self, ip: Ipv4Addr, now: Timestamp) -> Option<HwAddr> {
        let mut neighbours = lock(&self.neighbours);
        if let Some((hw, read)) = neighbours.get(&ip)
            && now.since(*read) < NEIGHBOUR_AGE_MAX
        {
            return *hw;
        }
        let hw = net::neighbour(ip).map(HwAddr::from);
        if neighbours.len() >= NEIGHBOURS_MAX {
            neighbours.clear();
            self.counters.count(Counter::NeighboursForgotten);
        }
        neighbours.insert(ip, (hw, now));
        hw
    }

    /// Believes what a machine without a lease of ours says of itself, for as long as its session may last: after
    /// that another server may have given the address to another machine, which must not boot what this one does.
    pub fn reported(&self, ip: Ipv4Addr, hw: HwAddr, now: Timestamp) {
        if self.lease_holder(ip, now).is_some() {
            return;
        }
        let mut reported = lock(&self.reported);
        if reported.len() >= REPORTED_MAX && !reported.contains_key(&ip) {
            reported.retain(|_, held| held.until > now);
        }
        if reported.len() < REPORTED_MAX || reported.contains_key(&ip) {
            reported.insert(ip, Held { hw, until: now.after(SILENCE), told: None });
        } else {
            self.counters.count(Counter::ReportsFull);
        }
    }

    /// A lease was committed or ended.
    pub fn leased(&self, changes: impl IntoIterator<Item = (Ipv4Addr, Option<Held>)>) {
        let mut leased = self.leased.write().unwrap_or_else(PoisonError::into_inner);
        changes.into_iter().for_each(|(ip, holder)| leased.change(ip, holder));
    }

    /// What was refused, given up or forgotten, by every service.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Takes over what the journal counts by itself.
    pub fn count_journal(&self) {
        let journal = self.journal.counters();
        self.counters.reached(Counter::JournalFolded, journal.folded);
        self.counters.reached(Counter::JournalDropped, journal.dropped);
    }

    /// Notes why leases cannot be stored, or that they can.
    pub(crate) fn leases_unstored(&self, error: Option<StoreError>) {
        *lock(&self.unstored) = error;
    }

    /// Why leases or the history cannot be stored now; none while all is well.
    pub fn trouble(&self) -> Option<StoreError> {
        lock(&self.unstored).clone().or_else(|| self.journal.counters().error)
    }

    /// The journal's writer, for its counters and the last flush.
    pub fn journal(&self) -> &Handle {
        &self.journal
    }
}

/// The holder, while that is sure.
fn sure(held: Option<&Held>, now: Timestamp) -> Option<HwAddr> {
    held.filter(|held| held.until > now).map(|held| held.hw)
}

/// A panic while the lock was held has been logged; what it guards is a cache of what happened, never wrong
/// enough to stop serving.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bootlace_core::event::{ClientClass, DhcpAnswer, DhcpEvent, DhcpMessage, EventKind, Peer};
    use bootlace_core::finding::Trail;
    use bootlace_core::model::Facts;
    use bootlace_store::JournalReader;
    use bootlace_store::journal::{EventId, Journal, Retention, Writer};
    use bootlace_wire::Mac;

    use super::*;

    /// Addresses of documentation (RFC 5737): no neighbour has them.
    const IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 61);

    fn hw(last: u8) -> HwAddr {
        Mac([2, 0, 0, 0, 0, last]).into()
    }

    /// Networks for benchmarks (RFC 2544): no neighbour is in them.
    fn address(number: usize) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + number as u32)
    }

    #[test]
    fn books_that_are_full_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::spawn(Journal::open(dir.path()).unwrap(), Retention::default()).unwrap();
        let hub = Hub::new(SessionId(1), [], writer);
        let start = Timestamp::from_secs(1_800_000_000);
        let counts = |hub: &Hub| {
            [Counter::ReportsFull, Counter::NeighboursForgotten].map(|counter| hub.counters().get(counter))
        };
        for number in 0..REPORTED_MAX {
            hub.reported(address(number), hw(1), start);
        }
        for number in 0..NEIGHBOURS_MAX {
            hub.identify(address(number), None, start);
        }
        hub.reported(address(0), hw(2), start);
        hub.identify(address(0), None, start);
        assert_eq!(counts(&hub), [0, 0], "those who are known take no more room");
        let further = address(REPORTED_MAX.max(NEIGHBOURS_MAX));
        hub.reported(further, hw(3), start);
        assert_eq!(hub.identify(further, None, start).hw, None, "not learned");
        assert_eq!(counts(&hub), [1, 1]);
        hub.reported(further, hw(3), start.after(SILENCE));
        assert_eq!(hub.who(further, start.after(SILENCE)), Some(hw(3)), "the others have ended");
        assert_eq!(counts(&hub), [1, 1]);
    }

    #[test]
    fn what_others_say_to_each_other_is_kept_of_our_own_boots_only() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::spawn(Journal::open(dir.path()).unwrap(), Retention::default()).unwrap();
        let hub = Hub::new(SessionId(1), [], writer);
        let asks = |machine, client| {
            let answer = DhcpAnswer::Elsewhere { server: None, address: Some(IP) };
            let dhcp = DhcpEvent {
                message: DhcpMessage::Request,
                client,
                firmware: None,
                interface: "eth0".into(),
                xid: 1,
                facts: Facts::new(),
                features: None,
                answer,
                trail: Trail::default(),
            };
            let peer = Peer { hw: Some(hw(machine)), ip: None };
            hub.record(Event { at: Timestamp::from_secs(1_800_000_000), peer, kind: EventKind::Dhcp(dhcp) });
        };
        asks(1, ClientClass::Os);
        asks(2, ClientClass::Firmware);
        asks(2, ClientClass::Os);
        hub.journal().flush().unwrap();
        let journal = JournalReader::open(dir.path()).unwrap();
        let kept = journal.events_after(EventId(0), 10).unwrap().events;
        let of: Vec<_> = kept.iter().map(|stored| stored.record.event.peer.hw.unwrap()).collect();
        assert_eq!(of, [hw(2), hw(2)]);
    }

    #[test]
    fn leases_and_reports_are_believed_for_their_time() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::spawn(Journal::open(dir.path()).unwrap(), Retention::default()).unwrap();
        let hub = Hub::new(SessionId(1), [], writer);
        let start = Timestamp::from_secs(1_800_000_000);
        let at = |secs| start.after(Duration::from_secs(secs));
        assert_eq!(hub.who(IP, at(0)), None);
        hub.reported(IP, hw(1), at(0));
        assert_eq!(hub.who(IP, at(1)), Some(hw(1)));
        hub.reported(IP, hw(2), at(2));
        assert_eq!(hub.who(IP, at(2)), Some(hw(2)), "the last report counts");
        hub.leased([(IP, Some(Held { hw: hw(3), until: at(60), told: None }))]);
        assert_eq!(hub.who(IP, at(59)), Some(hw(3)));
        assert_eq!(hub.who(IP, at(60)), Some(hw(2)), "the lease has ended");
        assert_eq!(hub.who(IP, at(2 + SILENCE.as_secs())), None, "another machine may have the address");
    }
}
