//! What a server that has shut itself in reads, refuses and says.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::process::Signal;
use serde_json::json;

use crate::process::Server;

impl Server {
    fn write_config(&self, text: &str) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path("bootlace.toml")).unwrap();
    }

    fn serves(&self, name: &str, content: &str) -> bool {
        self.get(name).ends_with(content.as_bytes())
    }
}

/// Whether this kernel restricts files: tests of what is refused mean nothing where it does not.
pub(crate) fn landlock() -> bool {
    use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let shown = ruleset.handle_access(AccessFs::from_all(ABI::V1)).is_ok();
    if !shown {
        eprintln!("not shown: this kernel has no Landlock");
    }
    shown
}

#[test]
fn every_thread_is_filtered() {
    let server = Server::start(":");
    for task in fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        for line in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
            assert!(status.contains(line), "no {line} in {status}");
        }
    }
    assert!(server.stop().success());
}

#[test]
fn a_boot_dir_outside_needs_a_restart_and_the_one_in_force_stays() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("small"), "outside").unwrap();
    let mut server = Server::start(":");
    let inside = server.config();
    let other = format!("boot_dir = {:?}", outside.path());
    server.write_config(&inside.replace("boot_dir = \"boot\"", &other));
    let said = server.wait_for("reloaded");
    if landlock() {
        assert!(said.contains("needs a restart") && said.contains("key=\"boot_dir\""), "{said}");
        assert_eq!(server.in_force().1, json!(["boot_dir"]));
        assert!(server.serves("small", "\r\n\r\nsmall"));
        // The same by a link that is swapped under a name that stays.
        fs::rename(server.path("boot"), server.path("moved")).unwrap();
        symlink(outside.path(), server.path("boot")).unwrap();
        server.write_config(&inside);
        assert!(server.wait_for("reloaded").contains("key=\"boot_dir\""));
        assert!(server.serves("small", "\r\n\r\nsmall"));
        fs::remove_file(server.path("boot")).unwrap();
        fs::rename(server.path("moved"), server.path("boot")).unwrap();
    }
    server.write_config(&inside);
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    assert!(server.stop().success());
}

#[test]
fn a_template_outside_keeps_the_config_out_and_says_why() {
    if !landlock() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x.ipxe"), "#!ipxe\n").unwrap();
    let mut server = Server::start(":");
    let boot = "[boot.custom]\nkind = \"ipxe\"\nscript = \"x.ipxe\"\n";
    let config = server.config();
    server.write_config(&format!("templates = {:?}\n{config}{boot}", outside.path()));
    server.wait_for("the config that was in force stays");
    server.wait_for("needs a restart");
    server.write_config(&config.replace("[dhcp]", "sandbox = \"off\"\n[dhcp]"));
    assert!(server.wait_for("reloaded").contains("key=\"sandbox\""));
    assert!(server.stop().success());
}

/// A loader package that is installed after the start brings its folder with it.
#[test]
fn a_folder_of_follow_that_came_after_the_start_needs_a_restart() {
    let outside = tempfile::tempdir().unwrap();
    let loaders = outside.path().join("ipxe");
    let mut server = Server::start(&format!("sed -i '1i follow = [{loaders:?}]' \"$1\""));
    fs::create_dir(&loaders).unwrap();
    fs::write(loaders.join("undionly.kpxe"), "a loader").unwrap();
    server.signal(Signal::HUP);
    let said = server.wait_for("reloaded");
    assert_eq!(said.contains("key=\"follow\""), landlock(), "{said}");
    assert_eq!(server.serves("undionly.kpxe", "a loader"), !landlock());
    assert!(server.stop().success());

    let mut again = Server::start(&format!("sed -i '1i follow = [{loaders:?}]' \"$1\""));
    assert!(again.serves("undionly.kpxe", "a loader"));
    fs::write(loaders.join("snponly.efi"), "another").unwrap();
    again.signal(Signal::HUP);
    assert!(!again.wait_for("reloaded").contains("needs a restart"));
    assert!(again.serves("snponly.efi", "another"));
    assert!(again.stop().success());
}

#[test]
fn off_restricts_nothing() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("small"), "outside").unwrap();
    let mut server = Server::start("sed -i '1i sandbox = \"off\"' \"$1\"");
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let inherited = fs::read_to_string("/proc/self/status").unwrap();
    let filters =
        |status: &str| status.lines().find(|line| line.starts_with("Seccomp_filters")).map(str::to_owned);
    assert_eq!(filters(&status), filters(&inherited));
    let other = format!("boot_dir = {:?}", outside.path());
    server.write_config(&server.config().replace("boot_dir = \"boot\"", &other));
    assert!(!server.wait_for("reloaded").contains("needs a restart"));
    assert!(server.serves("small", "outside"));
    assert!(server.stop().success());
}
