//! A server's insides over a folder of its own: config, hub, journal and leases.

use std::convert::Infallible;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bootlace::files::FilePlane;
use bootlace::hub::{Held, Hub};
use bootlace::one_shots::Book;
use bootlace::serving::{Edition, Serving};
use bootlace::tokens::Tokens;
use bootlace_core::config;
use bootlace_core::dhcp::{Lease, LeaseChange, LeaseState};
use bootlace_core::model::{Text, Timestamp};
use bootlace_core::session::SessionId;
use bootlace_store::journal::{Retention, Writer};
use bootlace_store::{Journal, OneShotStore, Store};
use bootlace_wire::{HwAddr, Mac};
use tempfile::TempDir;

pub(crate) const CONFIG: &str = r#"
state_dir = "state"
boot_dir = "boot"
follow = []
[dhcp]
mode = "server"
[[dhcp.subnet]]
subnet = "10.188.0.0/24"
ranges = ["10.188.0.60-10.188.0.70"]
[boot.rescue]
kind = "linux"
kernel = "linux"
[boot.login]
kind = "san"
target = "iscsi:san.example.com:6:3260:0:iqn.2007-08.com.example.san:x"
username = "web1"
password_file = "password"
[[machine]]
name = "web1"
mac = "52:54:00:00:00:01"
address = "10.188.0.61"
boot = "login"
"#;

/// Answers for an installer.
pub(crate) const PRESEED: &str = "serial {{ client.serial }}\npassword {{ password.root }}\n";

/// What must not reach the wrong machine.
pub(crate) const SECRET: &str = "geheim-und-lang-genug";

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
    pub(crate) hub: Arc<Hub>,
    pub(crate) serving: Arc<ArcSwap<Serving>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(CONFIG)
    }

    pub(crate) fn with(toml: &str) -> Self {
        let dir = folder(toml);
        let source = config::Source {
            name: "bootlace.toml".into(),
            folder: dir.path().to_owned(),
            text: toml.to_owned(),
        };
        let there = |path: &PathBuf| path.exists() || !config::may_be_absent(path);
        let texts = config::wanted(&source).into_iter().filter(there).map(|path| {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string());
            (path, text)
        });
        let loaded = config::load(&source, &texts.collect());
        let mut config = loaded.unwrap_or_else(|findings| panic!("{findings:?}")).config;
        config.passwords.make(|| Ok::<_, Infallible>([0; 16])).unwrap();
        let store = Store::open(&config.state_dir).unwrap();
        let journal = Journal::open(&config.state_dir).unwrap();
        let writer = Writer::spawn(journal, Retention::default()).unwrap();
        let plane = Arc::new(FilePlane::of(&config).unwrap());
        let serving = Arc::new(ArcSwap::from_pointee(Serving::new(config, plane, Edition::first())));
        let one_shots = Book::keep(OneShotStore::open(&dir.path().join("state")).unwrap()).unwrap();
        let hub = Hub::new(SessionId(1), [], writer)
            .with_one_shots(one_shots)
            .with_tokens(Tokens::random().unwrap());
        Self { hub: Arc::new(hub), dir, store, serving }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }
}

/// A folder with a config and what it names.
pub(crate) fn folder(toml: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("boot")).unwrap();
    fs::write(dir.path().join("boot/linux"), "a kernel").unwrap();
    fs::write(dir.path().join("password"), SECRET).unwrap();
    fs::create_dir(dir.path().join("templates")).unwrap();
    fs::write(dir.path().join("templates/preseed.cfg"), PRESEED).unwrap();
    fs::write(dir.path().join("bootlace.toml"), toml).unwrap();
    dir
}

/// A lease without end.
pub(crate) fn held(last: u8) -> Held {
    Held { hw: mac(last), until: Timestamp::NEVER, told: None }
}

pub(crate) fn mac(last: u8) -> HwAddr {
    Mac([0x52, 0x54, 0, 0, 0, last]).into()
}

pub(crate) fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 188, 0, last)
}

pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + secs)
}

pub(crate) fn lease(address: u8, holder: u8, state: LeaseState, until: Timestamp) -> LeaseChange {
    LeaseChange::Put(Lease {
        address: ip(address),
        hw: mac(holder),
        state,
        since: at(0),
        noted: at(0),
        until,
        client_id: None,
        uuid: None,
        hostname: Text::from("pc"),
    })
}

/// Compares with a file of `fixtures`.
pub(crate) fn golden(name: &str, actual: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../fixtures", name].iter().collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, actual).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, kept, "{}: UPDATE_GOLDEN=1 accepts", path.display());
}
