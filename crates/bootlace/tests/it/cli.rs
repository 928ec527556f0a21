//! The binary as a user runs it: exit codes, and what is said where.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bootlace_store::Store;

use crate::world::{CONFIG, SECRET, folder};

struct Run {
    code: i32,
    out: String,
    err: String,
}

fn bootlace(args: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_bootlace")).args(args).output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/config")
}

/// Fails with this as its one line.
#[track_caller]
fn fails(args: &[&str], said: &str) {
    let run = bootlace(args);
    assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", run.err);
    let lines: Vec<&str> = run.err.lines().collect();
    assert!(
        matches!(lines[..], [line] if line.starts_with("bootlace: ") && line.contains(said)),
        "{}",
        run.err
    );
}

#[test]
fn bad_usage_is_two() {
    for args in [
        &[][..],
        &["brew"],
        &["explain"],
        &["explain", "--mac", "nonsense"],
        &["leases", "--no-such"],
        &["serve", "--log", "loud"],
        &["boots", "seven"],
        &["machines", "next-boot", "web1"],
        &["machines", "next-boot", "web1", "rescue", "--cancel"],
        &["machines", "next-boot", "web1", "rescue", "--expires", "soon"],
    ] {
        let run = bootlace(args);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{args:?}");
        assert!(!run.err.is_empty(), "{args:?}");
    }
    let help = bootlace(&["--help"]);
    assert!(help.code == 0 && help.out.contains("explain"), "{}", help.out);
}

#[test]
fn check_says_all_that_is_wrong() {
    let dir = folder(CONFIG);
    let config = dir.path().join("bootlace.toml");
    let fine = bootlace(&["check", "-c", config.to_str().unwrap()]);
    assert_eq!(fine.code, 0, "{}", fine.err);
    assert_eq!(fine.out, format!("{} is fine\n", config.display()));
    assert!(fine.err.contains("loader-missing"), "only a warning: {}", fine.err);
    let mut wrong = 0;
    for entry in fs::read_dir(fixtures().join("invalid")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let run = bootlace(&["check", "-c", path.to_str().unwrap()]);
            assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", path.display());
            let last = run.err.lines().last().unwrap();
            assert!(last.starts_with("bootlace: ") && last.contains("error"), "{last}");
            wrong += 1;
        }
    }
    assert!(wrong >= 10, "found only {wrong}");
    fails(&["check", "-c", "/nowhere/bootlace.toml"], "cannot read /nowhere/bootlace.toml");
}

/// Nobody has to have adopted a machine; but those that are cannot be left out in silence.
#[test]
fn adopted_machines_that_cannot_be_read_are_an_error() {
    let dir = folder(CONFIG);
    let config = dir.path().join("bootlace.toml");
    fs::create_dir_all(dir.path().join("state/adopted/machines.toml")).unwrap();
    let run = bootlace(&["check", "-c", config.to_str().unwrap()]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("cannot read the adopted machines"), "{}", run.err);
}

#[test]
fn check_looks_at_the_files_of_disks() {
    let target = "[[iscsi.target]]\nname = \"iqn.2026-01.example:disk\"\nfile = \"disk.img\"\n";
    let dir = folder(&format!("{CONFIG}{target}"));
    let config = dir.path().join("bootlace.toml");
    let says = || {
        let run = bootlace(&["check", "-c", config.to_str().unwrap()]);
        assert_eq!(run.code, 0, "{}", run.err);
        run.err
    };
    assert!(says().contains("disk-file"));
    fs::write(dir.path().join("disk.img"), [0; 700]).unwrap();
    assert!(says().contains("700 bytes are not in whole blocks"));
    fs::write(dir.path().join("disk.img"), [0; 1024]).unwrap();
    assert!(!says().contains("disk-file"));
}

#[test]
fn check_looks_for_images_and_for_installations_that_never_start() {
    let boots = "[boot.seat]\nkind = \"disk\"\nimage = \"golden\"\n[boot.system]\nkind = \"install\"\nfamily = \"debian\"\n\
                 kernel = \"linux\"\nanswer = \"preseed.cfg\"\n[password.root]\nfile = \"password\"\n[[rule]]\n\
                 match = { product = \"X\" }\nboot = \"system\"\n[[machine]]\nname = \"web2\"\n\
                 serial = \"X2\"\nboot = \"system\"\n";
    let dir = folder(&format!("images = \"images\"\n{CONFIG}{boots}"));
    let config = dir.path().join("bootlace.toml");
    let says = || bootlace(&["check", "-c", config.to_str().unwrap()]).err;
    let text = says();
    assert!(text.contains("image-missing") && text.contains("there is no image golden in"), "{text}");
    assert!(text.contains("system is the usual boot of the machine web2 and 1 more"), "{text}");
    let images = dir.path().join("images");
    fs::create_dir(&images).unwrap();
    fs::write(images.join("golden.qcow2"), "").unwrap();
    assert!(!says().contains("image-missing"));
}

#[test]
fn check_says_which_machines_anybody_can_say_to_be() {
    let warns = |boots: &str| {
        let dir = folder(&format!("images = \"images\"\n{CONFIG}{boots}"));
        let run = bootlace(&["check", "-c", dir.path().join("bootlace.toml").to_str().unwrap()]);
        assert_eq!(run.code, 0, "{}", run.err);
        run.err.contains("machine-without-mac")
    };
    let seat = "[boot.seat]\nkind = \"disk\"\nimage = \"golden\"\n";
    let menu = "[boot.menu]\nkind = \"menu\"\nentries = [\"rescue\", \"login\"]\n";
    let machine = |known: &str, boot: &str| format!("[[machine]]\nname = \"web2\"\n{known}\n{boot}\n");
    let serial = "serial = \"X2\"";
    assert!(warns(&(seat.to_owned() + &machine(serial, "boot = \"seat\""))));
    assert!(warns(&machine(serial, "boot = \"login\"")), "it logs in");
    assert!(warns(&(menu.to_owned() + &machine(serial, "boot = \"menu\""))));
    let rule = "[[rule]]\nmatch = { product = \"X\" }\nboot = \"login\"\n";
    assert!(warns(&(machine(serial, "") + rule)));
    assert!(!warns(&(machine(serial, "boot = \"rescue\"") + rule)), "it never comes to the rule");
    assert!(!warns(&machine(&format!("{serial}\nmac = \"52:54:00:00:00:02\""), "boot = \"login\"")));
    assert!(!warns(&machine("client_id = \"node-7\"", "boot = \"login\"")));
}

#[test]
fn explain_tells_and_touches_nothing() {
    let dir = folder(CONFIG);
    let config = dir.path().join("bootlace.toml");
    let state = dir.path().join("state");
    let args =
        ["explain", "-c", config.to_str().unwrap(), "--mac", "52:54:00:00:00:01", "--set", "loader=ipxe"];
    let json = |run: Run| -> serde_json::Value {
        assert_eq!(run.code, 0, "{}", run.err);
        serde_json::from_str(&run.out).unwrap()
    };
    let first = json(bootlace(&[&args[..], &["--json"]].concat()));
    assert!(!state.exists(), "before the first start nothing is made");
    assert_eq!(first["steps"][0]["step"], "lease");
    assert_eq!(first["steps"][0]["address"], "10.188.0.61");
    assert!(first["end"].as_str().unwrap().starts_with("starts the disk iscsi:"), "{first}");
    drop(Store::open(&state).unwrap());
    let snapshot = || -> Vec<(PathBuf, std::time::SystemTime, Vec<u8>)> {
        let entries = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries
            .filter(|path| path.extension().is_some_and(|extension| extension == "db"))
            .map(|path| {
                let modified = fs::metadata(&path).unwrap().modified().unwrap();
                let bytes = fs::read(&path).unwrap();
                (path, modified, bytes)
            })
            .collect();
        files.sort();
        files
    };
    let before = snapshot();
    assert!(!before.is_empty());
    let again = json(bootlace(&[&args[..], &["--json"]].concat()));
    assert_eq!(again["steps"], first["steps"]);
    assert!(snapshot() == before, "the store was touched");
    let human = bootlace(&args);
    assert!(human.out.contains("set password _secret_") && !human.out.contains(SECRET), "{}", human.out);
    assert!(human.out.contains("What happens:") && human.out.contains("In the end it starts the disk"));
}

#[test]
fn explain_shows_no_hash() {
    let dir = folder(
        "follow = []\nboot_dir = \"boot\"\ndefault = \"preseeded\"\n[dhcp]\nmode = \"server\"\n[[dhcp.subnet]]\nsubnet = \"10.188.0.0/24\"\n\
         ranges = [\"10.188.0.60-10.188.0.70\"]\n[password.root]\nfile = \"password\"\n\
         [boot.preseeded]\nkind = \"linux\"\nkernel = \"linux\"\ncmdline = \"crypted={{ password.root }}\"\n",
    );
    let config = dir.path().join("bootlace.toml");
    let args = ["--mac", "52:54:00:00:00:01", "--set", "loader=ipxe"];
    let shown = bootlace(&[&["explain", "-c", config.to_str().unwrap()], &args[..]].concat());
    assert!(shown.out.contains("crypted=hash-of-root") && !shown.out.contains("$6$"), "{}", shown.out);
}

#[test]
fn render_prints_what_a_machine_gets() {
    let more = "[password.root]\nfile = \"password\"\n[[machine]]\nname = \"web2\"\nmac = \"52:54:00:00:00:02\"\n\
                boot = \"rescue\"\nvars = { disk = \"/dev/sdb\" }\n";
    let dir = folder(&format!("{CONFIG}{more}"));
    let config = dir.path().join("bootlace.toml");
    let templates = dir.path().join("templates");
    let args = |name: &str, more: &[&str]| -> Vec<String> {
        let fixed = ["render", "-c", config.to_str().unwrap(), "--mac", "52:54:00:00:00:02", name];
        fixed.iter().chain(more).map(|&word| word.to_owned()).collect()
    };
    let run = |name: &str, more: &[&str]| {
        let args = args(name, more);
        bootlace(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let text = "host {{ machine.name }} {{ boot.name }} {{ vars.disk }}\nroot {{ password.root }} {{ client.serial }}\n";
    fs::write(templates.join("preseed.cfg"), text).unwrap();
    let printed = run("preseed.cfg", &["--set", "serial=A;B"]);
    assert_eq!(
        (printed.code, printed.out.as_str(), printed.err.as_str()),
        (0, "host web2 rescue /dev/sdb\nroot hash-of-root A_B\n", "")
    );
    assert!(run("preseed.cfg", &["--boot", "login"]).out.starts_with("host web2 login "));
    fs::write(templates.join("user-data"), "a: {{ vars.nothing }}\n").unwrap();
    fs::write(templates.join("wrong.yaml"), "a: 1\nb: {{ machin.name }}\n").unwrap();
    fs::write(templates.join("text"), "{{ machine.name }}").unwrap();
    assert_eq!(run("text", &["--language", "shell"]).out, "web2");
    let fails = |name: &str, more: &[&str], said: &str| {
        let args = args(name, more);
        fails(&args.iter().map(String::as_str).collect::<Vec<_>>(), said);
    };
    fails("user-data", &[], "user-data: line 1, column 7: undefined value");
    fails("text", &[], "does not tell its language: say --language, one of ipxe, grub");
    fails("text", &["--language", "latin"], "no language \"latin\"");
    fails("../bootlace.toml", &["--language", "yaml"], "is no name of a file below");
    fails("gone.yaml", &[], "gone.yaml: No such file or directory");
    fails("user-data", &["--boot", "resce"], "there is no boot \"resce\"; did you mean rescue?");
    let wrong = run("wrong.yaml", &[]);
    assert_eq!((wrong.code, wrong.out.as_str()), (1, ""));
    assert!(
        wrong.err.contains("wrong.yaml:2:7") && wrong.err.contains("did you mean `machine`?"),
        "{}",
        wrong.err
    );
}

#[test]
fn explain_says_what_it_does_not_know() {
    let dir = folder(CONFIG);
    let config = dir.path().join("bootlace.toml");
    let explain = |more: &[&str], said: &str| {
        let args =
            [&["explain", "-c", config.to_str().unwrap(), "--mac", "52:54:00:00:00:01"], more].concat();
        fails(&args, said);
    };
    explain(&["--firmware", "bois"], "there is no firmware \"bois\"");
    explain(&["--set", "serail=1"], "did you mean serial?");
    explain(&["--set", "serial"], "write KEY=VALUE");
    explain(&["--set", "ip=10.188"], "no IPv4 address");
    explain(&["--set", "ip=10.188.0.61"], "it is this server that gives the address");
    explain(&["--features", "htpp"], "no feature \"htpp\"");
}

#[test]
fn without_a_server_the_readers_say_what_to_do() {
    let dir = folder(CONFIG);
    let config = dir.path().join("bootlace.toml");
    for command in ["leases", "boots", "machines"] {
        fails(&[command, "-c", config.to_str().unwrap()], "start it with `bootlace serve`");
        fails(&[command, "--json", "--socket", "/nowhere/admin.sock"], "start it with `bootlace serve`");
    }
}

/// A config that needs no privileges, on ports that are free now.
fn unprivileged(more: &str) -> (tempfile::TempDir, u16, u16) {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (http, admin) = (free(), free());
    let (http, admin) = (http.local_addr().unwrap().port(), admin.local_addr().unwrap().port());
    let config = format!(
        "interfaces = [\"lo\"]\nstate_dir = \"state\"\nboot_dir = \"boot\"\nfollow = []\n{more}\n[dhcp]\nmode = \
         \"off\"\n[tftp]\nenabled = false\n[http]\nport = {http}\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n"
    );
    (folder(&config), http, admin)
}

#[test]
fn a_start_that_fails_says_why() {
    fails(&["serve", "-c", "/nowhere/bootlace.toml"], "cannot read /nowhere/bootlace.toml");
    let (dir, ..) = unprivileged("");
    let config = dir.path().join("bootlace.toml");
    let serve = ["serve", "--log", "error", "-c", config.to_str().unwrap()];
    fails(&[&serve[..], &["-i", "nic9"]].concat(), "there is no interface nic9");
    let held = Store::open(&dir.path().join("state")).unwrap();
    fails(&serve, "another");
    drop(held);
    fs::rename(dir.path().join("boot"), dir.path().join("gone")).unwrap();
    fails(&serve, "cannot open boot_dir");
    fs::rename(dir.path().join("gone"), dir.path().join("boot")).unwrap();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("listen = \"127.0.0.1", "listen = \"0.0.0.0")).unwrap();
    let open = bootlace(&serve);
    assert!(open.code == 1 && open.err.contains("token_file"), "{}", open.err);
    fs::write(&config, text.replace("127.0.0.1:", "127.0.0.1:8470\"\ntoken_file = \"password\"#")).unwrap();
    fs::write(dir.path().join("password"), "short").unwrap();
    fails(&serve, "16 characters");
}

/// A server that is killed when the test ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn http(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_server_from_ready_to_stopped() {
    let (dir, boot_port, admin_port) = unprivileged("");
    let config = dir.path().join("bootlace.toml");
    let config = config.to_str().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_bootlace"))
        .args(["serve", "-c", config])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Server(child);
    let mut log = BufReader::new(server.0.stderr.take().unwrap()).lines();
    let mut until = |word: &str| log.by_ref().find(|line| line.as_ref().unwrap().contains(word)).is_some();
    assert!(until("ready"), "it ended before it was ready");

    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("state/admin.sock"), 0o660);
    assert_eq!(mode("state"), 0o750, "leases and histories are nobody else's business");

    assert!(http(admin_port, "/healthz").ends_with("\r\n\r\nok\n"));
    assert!(http(boot_port, "/linux").ends_with("a kernel"));
    for path in ["/api/v1/leases", "/api/v1/boots", "/healthz", "/metrics"] {
        assert!(http(boot_port, path).starts_with("HTTP/1.0 404"), "the boot port serves {path}");
    }
    for command in ["leases", "boots", "machines"] {
        let run = bootlace(&[command, "-c", config]);
        assert_eq!(run.code, 0, "{command}: {}", run.err);
    }
    let json = bootlace(&["boots", "--json", "-c", config]);
    assert!(serde_json::from_str::<serde_json::Value>(&json.out).unwrap().is_array());
    fails(&["boots", "77", "-c", config], "there is no boot 77");
    fails(&["serve", "--log", "error", "-c", config], "another");

    let pid = server.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(until("stopped"));
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
    fails(&["leases", "-c", config], "start it with `bootlace serve`");
}
