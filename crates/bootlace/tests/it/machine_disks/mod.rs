//! Disks of machines, from the script that names one to the bytes that an initiator reads.

mod commands;
mod crowd;

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bootlace::counters::Counter;
use bootlace::services::iscsi::{Disks, MachineDisks, Reset, serve};
use bootlace::serving::{Edition, Serving, resolver};
use bootlace::tokens::Tokens;
use bootlace_core::boot::disk::DiskId;
use bootlace_core::config::{BootKind, BootName, DiskMode};
use bootlace_core::event::{DiskEvent, DiskStep, EventKind};
use bootlace_core::oneshot::Stage;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::initiator::{CHECK_CONDITION, GOOD, Initiator};
use crate::one_shots::{restart, settled, shot, web1};
use crate::serving::Peers;
use crate::world::{World, held, ip, mac};

const CONFIG: &str = r#"
state_dir = "state"
boot_dir = "boot"
images = "images"
follow = []
default = "choose"
[boot.choose]
kind = "menu"
entries = ["kept", "fresh", "little", "memory", "other"]
[boot.kept]
kind = "disk"
image = "golden"
[boot.fresh]
kind = "disk"
image = "golden"
mode = "reset"
chap = "off"
[boot.little]
kind = "disk"
image = "golden"
mode = "reset"
chap = "off"
space = "1 MiB"
[boot.memory]
kind = "disk"
image = "golden"
mode = "ram"
[boot.other]
kind = "disk"
image = "absent"
[[machine]]
name = "web1"
mac = "52:54:00:00:00:01"
[[machine]]
name = "web2"
mac = "52:54:00:00:00:02"
"#;
const REPORT: &str = "platform=pcbios&buildarch=i386&boot=";
const IMAGE_BLOCKS: usize = 4096;

/// A server with an image and two machines that have addresses.
struct Lab {
    runtime: Runtime,
    peers: Peers,
    tokens: Tokens,
    running: Option<Running>,
}

struct Running {
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<std::io::Result<()>>,
    addr: SocketAddr,
    disks: Arc<MachineDisks>,
}

/// What a script tells of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    target: String,
    initiator: String,
    login: Option<(String, String)>,
}

impl Lab {
    fn new() -> Self {
        Self::of(World::with(CONFIG))
    }

    fn of(world: World) -> Self {
        world.hub.leased([1, 2, 7].map(|last| (ip(60 + last), Some(held(last)))));
        fs::create_dir(world.dir.path().join("images")).unwrap();
        let tokens = Tokens::open(&world.state_dir()).unwrap();
        let mut lab =
            Self { runtime: Runtime::new().unwrap(), peers: Peers::of(world), tokens, running: None };
        lab.put("golden.img", 0x11);
        lab.start();
        lab
    }

    fn image(&self, name: &str) -> PathBuf {
        self.peers.world.dir.path().join("images").join(name)
    }

    /// Puts an image in its place, as one should.
    fn put(&self, name: &str, byte: u8) {
        let new = self.image("new");
        fs::write(&new, vec![byte; IMAGE_BLOCKS * 512]).unwrap();
        fs::rename(&new, self.image(name)).unwrap();
    }

    /// Nobody has written to it for a while.
    fn age(&self, name: &str) {
        let then = SystemTime::now() - Duration::from_secs(60);
        File::options().write(true).open(self.image(name)).unwrap().set_modified(then).unwrap();
    }

    fn start(&mut self) {
        let Self { runtime, peers, tokens, .. } = self;
        let world = &peers.world;
        let (serving, hub) = (Arc::clone(&world.serving), Arc::clone(&world.hub));
        let disks = MachineDisks::open(Arc::clone(&serving), tokens.clone(), Arc::clone(&hub)).unwrap();
        peers.resolver = resolver(serving, hub, Some(Arc::clone(&disks)));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = Disks::open(&world.serving.load().config.iscsi).unwrap();
        let served = served.with_machines(Some(Arc::clone(&disks)));
        let stopped = async { drop(stopped.await) };
        let ended = runtime.spawn(serve(served, vec![listener], Arc::clone(&world.hub), stopped));
        self.running = Some(Running { stop, ended, addr, disks });
    }

    /// Ends the server, and starts another one on its state folder.
    fn restart_server(&mut self) {
        let Running { stop, ended, disks, .. } = self.running.take().unwrap();
        drop(stop);
        self.runtime.block_on(ended).unwrap().unwrap();
        drop(disks);
        self.start();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// The machine is switched on: another session begins.
    fn switch_on(&self, machine: u8) {
        restart(&self.peers, mac(machine));
    }

    fn script(&self, machine: u8, boot: &str) -> String {
        self.runtime.block_on(self.peers.fetch(60 + machine, "script", &format!("{REPORT}{boot}")))
    }

    /// What the script of a boot says, once the image was read.
    fn told(&self, machine: u8, boot: &str) -> Told {
        let mut script = self.script(machine, boot);
        while script.contains("is new and is being read") {
            std::thread::yield_now();
            script = self.script(machine, boot);
        }
        let word = |before: &str| {
            let line = script.lines().find_map(|line| line.strip_prefix(before));
            line.map(|rest| rest.split_whitespace().next().unwrap_or_default().to_owned())
        };
        let uri = word("sanboot ").unwrap_or_else(|| panic!("{script}"));
        let target = uri.strip_prefix("iscsi:10.188.0.10:6:3260:0:").unwrap_or_else(|| panic!("{uri}"));
        Told {
            target: target.to_owned(),
            initiator: word("set initiator-iqn ").unwrap(),
            login: word("set username ").zip(word("set password ")),
        }
    }

    fn login(&self, told: &Told) -> (Initiator, u16) {
        login(Initiator::connect(self.running().addr), told)
    }

    fn session(&self, told: &Told) -> Initiator {
        session(Initiator::connect(self.running().addr), told)
    }

    /// Changes a boot in the config in force.
    fn set_mode(&self, boot: &str, mode: DiskMode) {
        let serving = &self.peers.world.serving;
        let now = serving.load_full();
        let mut config = now.config.clone();
        let boot = config.boots.get_mut(&BootName::new(boot).unwrap()).unwrap();
        let BootKind::Disk(disk) = &mut boot.kind else { panic!() };
        disk.mode = mode;
        serving.store(Arc::new(Serving::new(config, Arc::clone(&now.plane), Edition::first())));
    }

    fn overlays(&self) -> Vec<String> {
        let folder = self.peers.world.state_dir().join("overlays");
        let mut all = Vec::new();
        for disk in fs::read_dir(folder).unwrap() {
            let disk = disk.unwrap();
            for generation in fs::read_dir(disk.path()).unwrap() {
                let generation = generation.unwrap().file_name().into_string().unwrap();
                all.push(format!("{}/{generation}", disk.file_name().to_str().unwrap()));
            }
        }
        all.sort();
        all
    }
}

fn login(mut host: Initiator, told: &Told) -> (Initiator, u16) {
    let keys = format!("InitiatorName={}\0TargetName={}\0", told.initiator, told.target);
    let status = match &told.login {
        None => host.login(1, &keys),
        Some((name, secret)) => host.login_by_chap(1, &keys, (name, secret)),
    };
    (host, status)
}

fn session(host: Initiator, told: &Told) -> Initiator {
    let (mut host, status) = login(host, told);
    assert_eq!(status, 0, "{told:?}");
    assert_eq!(host.ready(), Some((CHECK_CONDITION, 0x29)));
    host
}

const IMAGE: [u8; 512] = [0x11; 512];

#[test]
fn machines_write_over_one_image_and_see_only_their_own() {
    let lab = Lab::new();
    let told = [1, 2].map(|machine| lab.told(machine, "kept"));
    assert_eq!(told[0].initiator, "iqn.2024-08.internal.bootlace:web1");
    assert_eq!(told[0].login.as_ref().unwrap().0, "web1");
    assert_eq!(lab.overlays(), <[String; 0]>::default(), "a name makes nothing");
    let mut hosts = [0, 1].map(|at| lab.session(&told[at]));
    assert_eq!(hosts[0].read(3), IMAGE);
    assert_eq!(hosts[0].write(3, 0x22), GOOD);
    assert_eq!((hosts[0].read(3), hosts[1].read(3)), (vec![0x22; 512], IMAGE.to_vec()));
    assert_eq!(fs::read(lab.image("golden.img")).unwrap(), vec![0x11; IMAGE_BLOCKS * 512]);
    assert_eq!(lab.overlays().len(), 2);
}

#[test]
fn what_is_kept_is_there_after_a_restart_of_both() {
    let mut lab = Lab::new();
    let told = lab.told(1, "kept");
    assert_eq!(lab.session(&told).write(3, 0x22), GOOD);
    lab.restart_server();
    // The machine that runs comes back by the name that it has.
    assert_eq!(lab.session(&told).read(3), vec![0x22; 512]);
    lab.switch_on(1);
    let again = lab.told(1, "kept");
    assert_eq!(again, told, "it lives as long as the generation");
    let mut host = lab.session(&again);
    assert_eq!((host.read(3), host.read(4)), (vec![0x22; 512], IMAGE.to_vec()));
}

#[test]
fn a_reset_disk_is_fresh_at_each_boot_and_the_same_within_one() {
    let lab = Lab::new();
    let first = lab.told(1, "fresh");
    assert_eq!(first.login, None);
    let mut running = lab.session(&first);
    assert_eq!(running.write(3, 0x22), GOOD);
    assert_eq!(lab.told(1, "fresh"), first, "the same boot asks again");
    // iPXE and the system that it starts log in one after the other.
    let mut again = lab.session(&first);
    assert!(running.answer().is_none(), "one session at a time");
    assert_eq!(again.read(3), vec![0x22; 512]);

    lab.switch_on(1);
    let second = lab.told(1, "fresh");
    assert_ne!(second.target, first.target);
    assert_eq!(again.read(3), vec![0x22; 512], "a name alone ends nothing");
    let mut fresh = lab.session(&second);
    assert!(again.answer().is_none(), "the older disk is over");
    assert_eq!(fresh.read(3), IMAGE);
    assert_eq!(lab.overlays().len(), 1);
    assert_eq!(lab.login(&first).1, 0x0203, "nor does the older name harm the newer disk");
    assert_eq!((fresh.write(3, 0x33), fresh.read(3)), (GOOD, vec![0x33; 512]));
}

#[test]
fn a_disk_in_memory_ends_with_the_server() {
    let mut lab = Lab::new();
    let told = lab.told(1, "memory");
    let mut host = lab.session(&told);
    assert_eq!(host.write(3, 0x22), GOOD);
    drop(host);
    assert_eq!(lab.session(&told).read(3), vec![0x22; 512], "it is there while the server is");
    assert_eq!(lab.overlays(), <[String; 0]>::default());
    lab.restart_server();
    assert_eq!(lab.login(&told).1, 0x0203, "a machine that runs must not find an empty disk");
    let fresh = lab.told(1, "memory");
    assert_ne!(fresh.target, told.target);
    let mut host = lab.session(&fresh);
    assert_eq!((host.read(3), host.write(3, 0x33)), (IMAGE.to_vec(), GOOD));
    lab.switch_on(1);
    assert_eq!(lab.session(&lab.told(1, "memory")).read(3), IMAGE);
    assert_eq!(lab.login(&fresh).1, 0x0203);
}

#[test]
fn nobody_else_gets_a_disk() {
    let lab = Lab::new();
    let told = lab.told(1, "kept");
    let (name, secret) = told.login.clone().unwrap();
    let wrong = Told { login: Some((name, secret.replace(|c: char| c != 'a', "b"))), ..told.clone() };
    assert_eq!(lab.login(&wrong).1, 0x0201);
    assert_eq!(lab.peers.world.hub.counters().get(Counter::IscsiUnproven), 1);
    assert_eq!(lab.login(&Told { login: None, ..told.clone() }).1, 0x0201);
    let other = Told { initiator: lab.told(2, "kept").initiator, ..told.clone() };
    assert_eq!(lab.login(&other).1, 0x0202);
    // Names are not to be made up, not even of what is off by one.
    let open = lab.told(1, "fresh");
    let (start, check) = open.target.rsplit_once('-').unwrap();
    for made_up in [
        format!("{}-{check}", start.replace(":1-", ":2-")),
        format!("{start}-{check}0"),
        format!("{start}-{}", &check[..15]),
        start.to_owned(),
        open.target.replace(":web1:", ":web2:"),
        open.target.replace(":fresh:", ":kept:"),
    ] {
        assert_eq!(lab.login(&Told { target: made_up.clone(), ..open.clone() }).1, 0x0203, "{made_up}");
    }
    assert_eq!(lab.overlays(), <[String; 0]>::default(), "who is refused makes nothing");
    lab.session(&told);
}

#[test]
fn a_name_is_told_to_the_machine_alone() {
    let lab = Lab::new();
    let script = |from: u8, query: &str| lab.runtime.block_on(lab.peers.fetch(from, "script", query));
    // An address that nothing shows, and one that is another machine's.
    for from in [99, 62] {
        let script = script(from, &format!("mac=52:54:00:00:00:01&{REPORT}kept"));
        let text = script.replace("\necho ", " ");
        assert!(!script.contains("sanboot") && text.contains("so it gets no disk"), "{script}");
    }
}

#[test]
fn a_disk_stays_on_its_image() {
    let mut lab = Lab::new();
    let kept = lab.told(1, "kept");
    assert_eq!(lab.session(&kept).write(3, 0x22), GOOD);
    let fresh = lab.told(2, "fresh");
    lab.session(&fresh);
    // A new version comes, and the one before it stays under another name.
    fs::rename(lab.image("golden.img"), lab.image("golden-1.img")).unwrap();
    lab.age("golden-1.img");
    lab.put("golden.img", 0x44);
    lab.restart_server();
    for machine in [1, 2] {
        lab.switch_on(machine);
    }
    let mut host = lab.session(&lab.told(1, "kept"));
    assert_eq!((host.read(3), host.read(4)), (vec![0x22; 512], IMAGE.to_vec()));
    assert_eq!(lab.session(&lab.told(2, "fresh")).read(3), vec![0x44; 512]);
    drop(host);
    // Without it, that is told, and nothing is lost.
    fs::rename(lab.image("golden-1.img"), lab.peers.world.dir.path().join("aside")).unwrap();
    lab.restart_server();
    let mut script = lab.script(1, "kept");
    while script.contains("is new and is being read") {
        script = lab.script(1, "kept");
    }
    assert!(script.contains("the version of image golden"), "{script}");
    assert_eq!(lab.login(&kept).1, 0x0301, "a machine that runs tries again");
    // A file that somebody writes is none.
    fs::rename(lab.peers.world.dir.path().join("aside"), lab.image("any-name")).unwrap();
    let now = SystemTime::now();
    File::options().write(true).open(lab.image("any-name")).unwrap().set_modified(now).unwrap();
    assert!(lab.script(1, "kept").contains("the version of image golden"));
    lab.age("any-name");
    assert_eq!(lab.session(&lab.told(1, "kept")).read(3), vec![0x22; 512]);
}

#[test]
fn an_image_that_is_missing_is_told_on_the_screen() {
    let lab = Lab::new();
    let script = lab.script(1, "other");
    assert!(script.contains("there is no image absent in") && !script.contains("sanboot"), "{script}");
}

#[test]
fn what_a_machine_may_write_is_bounded() {
    let lab = Lab::new();
    let mut host = lab.session(&lab.told(1, "little"));
    let mut granule = 0_u16;
    let refused = loop {
        // A block of each granule of 4 KiB.
        let [high, low] = (granule * 8).to_be_bytes();
        let cdb = [0x2a, 0, 0, 0, high, low, 0, 0, 1, 0];
        let (status, sense) = host.command(0xa0, 512, &cdb, &[0x22; 512]).unwrap();
        if status != GOOD {
            break (granule, status, sense[4] & 0xf, sense[14], sense[15]);
        }
        granule += 1;
    };
    // DATA PROTECT, space allocation failed write protect, after 1 MiB.
    assert_eq!(refused, (256, CHECK_CONDITION, 7, 0x27, 0x07));
    assert_eq!(host.write(0, 0x55), GOOD, "what has its place can be written again");
}

#[test]
fn another_mode_takes_the_disk_over() {
    let lab = Lab::new();
    let memory = lab.told(1, "memory");
    let mut host = lab.session(&memory);
    assert_eq!(host.write(3, 0x22), GOOD);
    lab.set_mode("memory", DiskMode::Persistent);
    // What runs goes on, also with a new session.
    let mut again = lab.session(&memory);
    assert!(host.answer().is_none());
    assert_eq!(again.read(3), vec![0x22; 512]);
    let files = lab.told(1, "memory");
    let mut kept = lab.session(&files);
    assert_eq!((kept.read(3), kept.write(3, 0x33)), (IMAGE.to_vec(), GOOD));
    assert!(again.answer().is_none(), "never two disks of one machine and boot");
    assert_eq!(lab.overlays().len(), 1);
    assert_eq!(lab.login(&memory).1, 0x0203, "its disk is over");
    lab.set_mode("memory", DiskMode::Ram);
    assert_eq!(lab.session(&files).read(3), vec![0x33; 512], "and so on back");
    let memory = lab.told(1, "memory");
    assert_eq!(lab.session(&memory).read(3), IMAGE);
    assert_eq!(lab.login(&files).1, 0x0203, "what was before does not take the disk of what runs");
}

#[test]
fn a_disk_whose_files_were_removed_is_made_anew() {
    let lab = Lab::new();
    for boot in ["kept", "fresh"] {
        for _ in 0..3 {
            lab.switch_on(1);
            assert_eq!(lab.session(&lab.told(1, boot)).write(3, 0x22), GOOD);
        }
        let folder = lab.peers.world.state_dir().join("overlays").join(format!("web1+{boot}"));
        fs::remove_dir_all(&folder).unwrap();
        lab.switch_on(1);
        let told = lab.told(1, boot);
        let mut host = lab.session(&told);
        assert_eq!((host.read(3), host.write(3, 0x33)), (IMAGE.to_vec(), GOOD));
        assert_eq!(lab.session(&told).read(3), vec![0x33; 512]);
        assert!(folder.exists());
    }
}

#[test]
fn machines_of_one_dock_share_no_disk() {
    let world = World::with(&format!("shared_macs = [\"52:54:00:00:00:07\"]\n{CONFIG}"));
    let lab = Lab::of(world);
    let script = lab.script(7, "kept");
    assert!(script.contains("its card is one of several machines"), "{script}");
}

#[test]
fn a_disk_for_once_is_done_with_its_login() {
    let lab = Lab::new();
    lab.told(1, "fresh");
    lab.switch_on(1);
    let book = lab.peers.world.hub.one_shots();
    let stage = || {
        lab.runtime.block_on(async {
            settled(&lab.peers).await;
            book.all().0[&web1()].stage.clone()
        })
    };
    lab.runtime.block_on(book.arm(web1(), shot("fresh"))).unwrap();
    let told = lab.told(1, "kept");
    assert!(told.target.contains(":fresh:"), "{told:?}");
    assert!(matches!(stage(), Stage::Taken(_)), "{:?}", stage());
    lab.session(&told);
    assert!(matches!(stage(), Stage::Done(_)), "{:?}", stage());
    assert_eq!(lab.told(1, "kept"), told, "the same boot keeps it");
    lab.switch_on(1);
    assert!(lab.told(1, "kept").target.contains(":kept:"));
}

#[test]
fn what_becomes_of_a_disk_is_told() {
    let lab = Lab::new();
    let told = lab.told(1, "kept");
    let mut host = lab.session(&told);
    assert_eq!((host.write(3, 0x22), host.read(3)), (GOOD, vec![0x22; 512]));
    drop(host);
    assert_eq!(lab.login(&Told { login: None, ..told.clone() }).1, 0x0201);
    drop(lab.session(&told));
    let events = || -> Vec<DiskEvent> {
        let disk = |kind| match kind {
            EventKind::Disk(disk) => Some(disk),
            _ => None,
        };
        lab.peers.events().into_iter().filter_map(disk).collect()
    };
    // The thread of a connection that is closed tells it a moment later.
    let is_end = |disk: &DiskEvent| matches!(disk.step, DiskStep::Ended { .. });
    while events().iter().filter(|disk| is_end(disk)).count() < 2 {
        std::thread::yield_now();
    }
    let disks = events();
    assert!(disks.iter().all(|disk| disk.target.as_str() == "iqn.2024-08.internal.bootlace:web1:kept"));
    let refused = |step: &DiskStep| matches!(step, DiskStep::Refused(why) if why.contains("did not prove"));
    let ended = |step: &DiskStep| match step {
        DiskStep::Ended { read, written, .. } => (*read, *written) == (512, 512),
        _ => false,
    };
    let count = |is: &dyn Fn(&DiskStep) -> bool| disks.iter().filter(|disk| is(&disk.step)).count();
    assert_eq!(count(&|step| *step == DiskStep::LoggedIn), 2, "{disks:?}");
    assert_eq!((count(&refused), count(&ended)), (1, 1), "{disks:?}");
}

#[test]
fn overlays_are_listed_and_reset_where_nobody_has_them() {
    let lab = Lab::new();
    let told = lab.told(1, "kept");
    let mut host = lab.session(&told);
    assert_eq!(host.write(3, 0x22), GOOD);
    assert_eq!(host.command(0x80, 0, &[0x35], &[]).unwrap().0, GOOD);
    let mut memory = lab.session(&lab.told(2, "memory"));
    assert_eq!(memory.write(3, 0x22), GOOD);
    let disks = Arc::clone(&lab.running().disks);
    let listed = disks.overlays().unwrap();
    let shown: Vec<_> = listed
        .iter()
        .map(|view| (view.machine.as_str(), view.boot.as_str(), view.medium.as_str(), view.in_use))
        .collect();
    assert_eq!(shown, [("web1", "kept", "files", true), ("web2", "memory", "memory", true)]);
    assert!(listed.iter().all(|view| view.image_name.as_deref() == Some("golden.img")), "{listed:?}");
    assert!(listed.iter().all(|view| view.size == (IMAGE_BLOCKS * 512) as u64 && view.space >= 4096));
    let images = disks.images();
    assert_eq!(images.len(), 1);
    assert_eq!((images[0].name.as_str(), images[0].state.as_str()), ("golden.img", "ready"));

    let id = DiskId::new("web1", &BootName::new("kept").unwrap());
    assert_eq!(disks.reset(&id).unwrap(), Reset::InUse);
    assert_eq!(host.read(3), vec![0x22; 512]);
    drop(host);
    // Its end is noticed a moment later.
    while disks.reset(&id).unwrap() == Reset::InUse {
        std::thread::yield_now();
    }
    assert_eq!(disks.reset(&id).unwrap(), Reset::Absent);
    assert_eq!(lab.overlays(), <[String; 0]>::default());
    lab.switch_on(1);
    assert_eq!(lab.session(&lab.told(1, "kept")).read(3), IMAGE);
}
