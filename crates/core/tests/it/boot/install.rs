//! Installations: what installers are told, who is installed, and who gets answers.

use std::path::PathBuf;

use bootlace_core::boot::choose::choose;
use bootlace_core::boot::install::{PackedKind, TokenMaker};
use bootlace_core::boot::plan::{Action, Entrusted, PlanError, build};
use bootlace_core::boot::template::Server;
use bootlace_core::config::{BootName, Config, Files, Source, load};
use bootlace_core::event::{DecidedBy, Protocol, ScriptStep};
use bootlace_core::files::{FileRequest, Identity, Resource, is_done, resolve, token_in, without_token};
use bootlace_core::model::{Facts, Text, Timestamp, Var};
use bootlace_core::oneshot::{Offered, OneShot, OneShots, Owner, Stage};

use super::sample::{SERVER, debian_loaders, facts, name, request};

const MAC: &str = "00:12:34:56:78:90";
const TOKEN: &str = "0123abcd";

/// Makes always the same.
#[derive(Debug)]
struct Fixed;

impl TokenMaker for Fixed {
    fn token(&self, _: &BootName) -> Option<String> {
        Some(TOKEN.to_owned())
    }
}

/// For whom there is one.
const ENTRUSTED: Entrusted<'_> = Entrusted { tokens: Some(&Fixed), disks: None };

/// A machine whose usual boot is its disk, and installations of all families.
fn config() -> Config {
    let text = r#"
default = "local"
[password.root]
file = "root"
[boot.debian]
kind = "install"
family = "debian"
kernel = "debian/linux"
initrd = ["debian/initrd.gz"]
answer = "debian/preseed.cfg"
cmdline = "console=ttyS0 hostname={{ machine.name }}"
[boot.ubuntu]
kind = "install"
family = "ubuntu"
kernel = "casper/vmlinuz"
initrd = ["casper/initrd"]
source = "ubuntu 24.iso"
answer = ["user-data", "network-config"]
[boot.fedora]
kind = "install"
family = "fedora"
kernel = "fedora/vmlinuz"
source = "http://mirror.example.com/fedora/"
answer = "host.ks.j2"
[boot.coreos]
kind = "install"
family = "coreos"
kernel = "coreos/kernel"
source = "coreos/rootfs.img"
answer = "config.ign"
cmdline = "coreos.inst.install_dev=/dev/vda"
[boot.suse]
kind = "install"
family = "suse"
kernel = "suse/linux"
source = "http://mirror.example.com/suse"
answer = "autoinst.xml"
[boot.alpine]
kind = "install"
family = "alpine"
kernel = "alpine/vmlinuz-lts"
initrd = ["alpine/initramfs-lts"]
source = "alpine/modloop-lts"
answer = ["install.sh", "answers"]
cmdline = "alpine_repo=http://mirror.example.com/alpine/main"
[boot.wrong]
kind = "install"
family = "debian"
kernel = "debian/linux"
answer = "wrong.cfg"
[boot.menu]
kind = "menu"
entries = ["local", "debian"]
[[machine]]
name = "web1"
mac = "00:12:34:56:78:90"
vars = { disk = "/dev/sdb" }
"#;
    let answers = [
        (
            "debian/preseed.cfg",
            "d-i disk string {{ vars.disk }}\nd-i password {{ password.root }}\nd-i late wget {{ install.done }}\n",
        ),
        ("user-data", "#cloud-config\nserial: {{ client.serial }}\n"),
        ("network-config", "version: 2\n"),
        ("host.ks.j2", "url --url={{ server.url }}\n"),
        ("config.ign", "{\"ignition\": {\"version\": \"3.4.0\"}}\n"),
        ("autoinst.xml", "<profile/>\n"),
        ("install.sh", "setup-alpine -e -f /etc/bootlace/answers\nwget -O - {{ install.done }}\n"),
        ("answers", "HOSTNAMEOPTS={{ machine.name }}\n"),
        ("wrong.cfg", "d-i x string {{ vars.nothing }}\n"),
    ];
    let source = Source { name: "bootlace.toml".into(), folder: PathBuf::new(), text: text.into() };
    let files = answers.map(|(name, text)| (PathBuf::from("templates").join(name), Ok(text.to_owned())));
    let files: Files = files.into_iter().chain([(PathBuf::from("root"), Ok("geheim".to_owned()))]).collect();
    load(&source, &files).unwrap_or_else(|findings| panic!("{findings:?}")).config
}

fn armed(boot: &str) -> OneShots {
    let stage = Stage::Armed;
    let shot = OneShot { boot: name(boot), confirm: None, armed: Timestamp(0), expires: None, stage };
    OneShots([(Owner::named("web1"), shot)].into())
}

fn next(shots: &OneShots) -> Offered<'_> {
    Offered { all: Some(shots), asker: None, now: Timestamp(0) }
}

fn known() -> Facts {
    facts(&[(Var::Mac, MAC), (Var::Firmware, "bios"), (Var::Serial, "X 1")])
}

fn plan(shots: &OneShots, pick: Option<&str>, entrusted: Entrusted<'_>) -> Result<Vec<String>, PlanError> {
    let (config, known) = (config(), known());
    let choice = choose(&config, next(shots), &known, pick);
    let boot = choice.boot().unwrap().clone();
    let plan = build(&config, &choice, &boot, &known, &Server::new(&config, SERVER), entrusted)?;
    let Action::Linux { args, .. } = plan.action else { panic!("{plan:?}") };
    Ok(args.iter().map(|arg| arg.as_str().to_owned()).collect())
}

#[test]
fn each_family_is_told_where_its_answers_are() {
    let args = |boot: &str| plan(&armed(boot), None, ENTRUSTED).unwrap();
    let folder = format!("http://10.188.0.10/answer/{TOKEN}");
    let debian = format!(
        "auto=true priority=critical interface=auto url={folder}/preseed.cfg console=ttyS0 hostname=web1"
    );
    assert_eq!(args("debian").join(" "), debian);
    let ubuntu = format!(
        "ip=dhcp autoinstall ds=nocloud;s={folder}/ cloud-config-url=/dev/null \
         url=http://10.188.0.10/ubuntu%2024.iso root=/dev/ram0"
    );
    assert_eq!(args("ubuntu").join(" "), ubuntu);
    let fedora = format!("ip=dhcp inst.ks={folder}/host.ks inst.repo=http://mirror.example.com/fedora/");
    assert_eq!(args("fedora").join(" "), fedora);
    let coreos = format!(
        "ignition.firstboot ignition.platform.id=metal coreos.inst.ignition_url={folder}/config.ign \
         coreos.live.rootfs_url=http://10.188.0.10/coreos/rootfs.img coreos.inst.install_dev=/dev/vda"
    );
    assert_eq!(args("coreos").join(" "), coreos);
    let alpine = format!(
        "ip=dhcp apkovl={folder}/machine.apkovl.tar.gz modloop=http://10.188.0.10/alpine/modloop-lts \
         alpine_repo=http://mirror.example.com/alpine/main"
    );
    assert_eq!(args("alpine").join(" "), alpine);
    let suse = format!("netsetup=dhcp autoyast={folder}/autoinst.xml install=http://mirror.example.com/suse");
    assert_eq!(args("suse").join(" "), suse);
}

#[test]
fn a_machine_is_installed_when_somebody_wants_it_and_not_each_time() {
    let mut config = config();
    let refused = |config: &Config| {
        let choice = choose(config, Offered::default(), &known(), None);
        let server = Server::new(config, SERVER);
        build(config, &choice, &name("debian"), &known(), &server, ENTRUSTED).unwrap_err().to_string()
    };
    let expected = "boot debian, kind: it installs a system, and is not armed for this machine; \
                    say `bootlace machines next-boot web1 debian`";
    config.default = name("debian");
    assert_eq!(refused(&config), expected);
    let mut machine = config.machines.iter().next().unwrap().clone();
    machine.overrides.boot = Some(name("debian"));
    config.machines = [machine].into_iter().collect();
    assert_eq!(refused(&config), expected);
    let menu = plan(&armed("menu"), Some("debian"), ENTRUSTED).unwrap();
    assert!(menu[3].contains(TOKEN), "somebody picked it: {menu:?}");
    let nobody = plan(&armed("debian"), None, Entrusted::default()).unwrap_err();
    assert!(nobody.message.contains("nothing shows which machine"), "{nobody}");
    let wrong = plan(&armed("wrong"), None, ENTRUSTED).unwrap_err().to_string();
    assert!(
        wrong.contains("boot wrong, answer: line 1, column 17") && wrong.contains("vars.nothing"),
        "{wrong}"
    );
}

#[derive(Clone, Copy)]
struct Asking<'a> {
    bearer: Option<Result<&'a BootName, &'static str>>,
    protocol: Protocol,
    identity: Identity,
}

fn ask(asking: &Asking<'_>, asked: &str) -> Resource {
    let (config, known, loaders) = (config(), known(), debian_loaders());
    let Asking { bearer, protocol, identity } = *asking;
    let request = FileRequest { bearer, protocol, identity, ..request(&known, "", &loaders) };
    let resolution = resolve(&config, asked, &request);
    assert_eq!(resolution.script, None);
    resolution.resource
}

fn answer(asked: &str, asking: &Asking<'_>) -> Result<String, String> {
    match ask(asking, asked) {
        Resource::Text { body, .. } => Ok(body),
        Resource::Absent(why) => Err(why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_are_for_who_has_the_token() {
    let (debian, ubuntu, gone, local) = (name("debian"), name("ubuntu"), name("gone"), name("local"));
    let of =
        |boot| Asking { bearer: Some(Ok(boot)), protocol: Protocol::Http, identity: Identity::Confirmed };
    let preseed = format!("answer/{TOKEN}/preseed.cfg");
    let text = format!(
        "d-i disk string /dev/sdb\nd-i password hash-of-root\nd-i late wget http://10.188.0.10/done/{TOKEN}\n"
    );
    assert_eq!(answer(&preseed, &of(&debian)), Ok(text));
    let absent = |why: &str| Err(why.to_owned());
    assert_eq!(
        answer(&preseed, &Asking { bearer: Some(Err("it is too old")), ..of(&debian) }),
        absent("it is too old")
    );
    assert_eq!(answer(&preseed, &Asking { bearer: None, ..of(&debian) }), absent("it has no token"));
    let tftp = Asking { protocol: Protocol::Tftp, ..of(&debian) };
    assert_eq!(answer(&preseed, &tftp), absent("it is for HTTP only"));
    let claimed = answer(&preseed, &Asking { identity: Identity::Claimed, ..of(&debian) });
    assert!(claimed.unwrap_err().contains("gets no secret"));
    assert_eq!(answer(&preseed, &of(&gone)), absent("there is no boot gone any more"));
    assert_eq!(answer(&preseed, &of(&local)), absent("boot local installs nothing any more"));
    let other = format!("answer/{TOKEN}/user-data");
    assert_eq!(answer(&other, &of(&debian)), absent("boot debian has no such answer"));
    assert_eq!(answer(&other, &of(&ubuntu)), Ok("#cloud-config\nserial: X_1\n".to_owned()));
    let meta = answer(&format!("answer/{TOKEN}/meta-data"), &of(&ubuntu)).unwrap();
    assert_eq!(meta, "instance-id: web1\nlocal-hostname: web1\n");
    assert!(answer(&format!("answer/{TOKEN}/vendor-data"), &of(&ubuntu)).is_err());
    assert_eq!(
        answer("answer/x", &of(&debian)),
        absent("answer/ is reserved for installers: answer/TOKEN/NAME")
    );
    assert_eq!(ask(&of(&debian), &format!("done/{TOKEN}")), Resource::Done);
    let forged = Asking { bearer: Some(Err("this is no token")), ..of(&debian) };
    assert_eq!(answer("done/x", &forged), absent("this is no token"));
    assert!(answer("done/x/y", &of(&debian)).is_err() && answer("done", &of(&debian)).is_err());
}

#[test]
fn alpine_gets_its_answers_in_one_archive() {
    let alpine = self::name("alpine");
    let of = Asking { bearer: Some(Ok(&alpine)), protocol: Protocol::Http, identity: Identity::Confirmed };
    let name = format!("answer/{TOKEN}/machine.apkovl.tar.gz");
    let Resource::Archive(entries) = ask(&of, &name) else { panic!("no archive") };
    let of_path = |path: &str| &entries.iter().find(|entry| entry.path == path).unwrap().kind;
    let file = |text: &str| PackedKind::File(text.to_owned());
    assert_eq!(of_path("etc/hostname"), &file("web1\n"));
    assert_eq!(of_path("etc/bootlace/answers"), &file("HOSTNAMEOPTS=web1\n"));
    let script =
        format!("setup-alpine -e -f /etc/bootlace/answers\nwget -O - http://10.188.0.10/done/{TOKEN}\n");
    assert_eq!(of_path("etc/bootlace/install.sh"), &file(&script));
    let PackedKind::Program(start) = of_path("etc/local.d/bootlace.start") else { panic!() };
    assert!(start.contains("sh /etc/bootlace/install.sh"), "{start}");
    assert_eq!(of_path("etc/runlevels/default/local"), &PackedKind::Link("/etc/init.d/local"));
    let forged = Asking { bearer: Some(Err("this is no token")), ..of };
    assert_eq!(answer(&name, &forged), Err("this is no token".to_owned()));
    let debian = self::name("debian");
    assert!(answer(&name, &Asking { bearer: Some(Ok(&debian)), ..of }).is_err(), "another family has none");
}

#[test]
fn no_token_is_shown() {
    for (asked, token, shown) in [
        ("answer/abc/preseed.cfg", Some("abc"), "answer/TOKEN/preseed.cfg"),
        ("/answer//abc/x", Some("abc"), "/answer//TOKEN/x"),
        ("done/abc", Some("abc"), "done/TOKEN"),
        ("answer", None, "answer"),
        ("debian/answer/abc", None, "debian/answer/abc"),
    ] {
        assert_eq!(token_in(asked), token, "{asked}");
        assert_eq!(without_token(&Text::from(asked)).as_str(), shown);
    }
    assert!(is_done("done/abc") && !is_done("answer/abc/done") && !is_done("done"));
}

#[test]
fn the_script_tells_the_token_to_the_machine_alone() {
    let (config, known, loaders, shots) = (config(), known(), debian_loaders(), armed("debian"));
    let script = |identity| {
        let own = FileRequest {
            next: next(&shots),
            entrusted: ENTRUSTED,
            identity,
            ..request(&known, "", &loaders)
        };
        let resolution = resolve(&config, "boot.ipxe", &own);
        let Resource::Text { body, .. } = resolution.resource else { panic!("{:?}", resolution.resource) };
        (body, resolution.script.unwrap().step)
    };
    let (body, step) = script(Identity::Confirmed);
    assert!(body.contains(&format!("url=http://10.188.0.10/answer/{TOKEN}/preseed.cfg")), "{body}");
    assert_eq!(step, ScriptStep::Boot { boot: name("debian"), by: DecidedBy::OneShot("web1".into()) });
    for identity in [Identity::Claimed, Identity::Contradicted] {
        let (body, step) = script(identity);
        assert!(!body.contains(TOKEN), "{body}");
        assert_eq!(step, ScriptStep::Boot { boot: name("local"), by: DecidedBy::Default });
    }
}
