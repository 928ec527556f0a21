//! Folders in which the real program runs commands of the pages.

use std::fs;
use std::process::{Command, Output};

use bootlace_store::{Journal, Store};
use tempfile::TempDir;

use super::{page, path};

/// Files that the configs name. Loaders are among them since the distribution's may not be installed.
const SERVED: [&str; 6] =
    ["vmlinuz", "initrd", "debian/linux", "debian/initrd.gz", "lpxelinux.0", "undionly.kpxe"];

/// A folder with a config whose paths lie in the folder.
pub(super) struct Sandbox(TempDir);

impl Sandbox {
    pub(super) fn new(config: &str) -> Self {
        let sandbox = Self(tempfile::tempdir().unwrap());
        let here = sandbox.0.path();
        for file in SERVED {
            let file = here.join("boot").join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "contents").unwrap();
        }
        fs::create_dir(here.join("images")).unwrap();
        fs::write(here.join("images/debian-12.img"), [0; 512]).unwrap();
        fs::write(here.join("root.password"), "a password").unwrap();
        let templates = here.join("templates");
        fs::create_dir(&templates).unwrap();
        for entry in fs::read_dir(path("examples/templates")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), templates.join(entry.file_name())).unwrap();
        }
        let paths: String = [("state_dir", "state"), ("boot_dir", "boot"), ("images", "images")]
            .map(|(key, folder)| format!("{key} = {:?}\n", here.join(folder)))
            .concat();
        let ours = |line: &&str| ["boot_dir", "state_dir", "images"].iter().any(|key| line.starts_with(key));
        let others = config.lines().filter(|line| !ours(line));
        let config: String = others.map(|line| format!("{line}\n")).collect();
        fs::write(here.join("bootlace.toml"), paths + &config).unwrap();
        sandbox
    }

    /// With the example that the command names, else the first machine's.
    pub(super) fn for_command(command: &str) -> Self {
        let named = command.split_whitespace().find(|word| word.starts_with("examples/"));
        Self::new(&page(named.unwrap_or("examples/first-machine.toml")))
    }

    /// Runs `bootlace` with this folder's config in the place of every other, and this folder in that of a backup's.
    pub(super) fn bootlace(&self, command: &str) -> Output {
        let mut words = command.split_whitespace();
        let name = words.next();
        let mut bootlace = Command::new(env!("CARGO_BIN_EXE_bootlace"));
        bootlace.args(name);
        while let Some(word) = words.next() {
            match word.strip_prefix("/var/backups/") {
                _ if word == "-c" => drop(words.next()),
                Some(name) => drop(bootlace.arg(self.0.path().join(name))),
                None => drop(bootlace.arg(word)),
            }
        }
        // A played machine knows no server's config.
        if name != Some("probe") {
            bootlace.arg("-c").arg(self.0.path().join("bootlace.toml"));
        }
        bootlace.output().unwrap()
    }

    /// Leaves what a server leaves that has run.
    pub(super) fn with_state(self) -> Self {
        let state = self.0.path().join("state");
        drop((Store::open(&state).unwrap(), Journal::open(&state).unwrap()));
        self
    }
}

pub(super) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
