//! Configs and commands of the pages, given to the real program.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::{PAGES, blocks, page, path};

/// Configs that stand in pages; the same texts lie in `examples/`, less comments at their head.
const CONFIGS_SHOWN: usize = 2;
const EXAMPLES: usize = 3;
/// Commands of the pages that ask a running server. Without one they say where they looked for it, which shows
/// that they were understood; what they answer is shown by the demo and the lab's scenarios.
const ASKED_OF_A_SERVER: [&str; 4] = ["boots", "boots 1", "leases", "machines"];
/// Commands that run servers; here it is only shown that their arguments are right.
const SERVERS: [&str; 2] = ["serve", "serve --log debug"];
/// Commands that do all they can without a server.
const RUN: [&str; 5] = [
    "check",
    "check -c FILE",
    "explain --mac 52:54:00:12:34:56",
    "explain --mac 52:54:00:12:34:56 --firmware uefi-x64",
    "explain -c FILE --mac 00:11:22:33:44:55",
];

/// Files that the configs name. Loaders are among them since the distribution's may not be installed.
const SERVED: [&str; 6] =
    ["vmlinuz", "initrd", "debian/linux", "debian/initrd.gz", "lpxelinux.0", "undionly.kpxe"];

/// A folder with a config whose paths lie in the folder.
struct Sandbox(TempDir);

impl Sandbox {
    fn new(config: &str) -> Self {
        let sandbox = Self(tempfile::tempdir().unwrap());
        let here = sandbox.0.path();
        for file in SERVED {
            let file = here.join("boot").join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "contents").unwrap();
        }
        let paths: String = [("state_dir", "state"), ("boot_dir", "boot")]
            .map(|(key, folder)| format!("{key} = {:?}\n", here.join(folder)))
            .concat();
        let others =
            config.lines().filter(|line| !line.starts_with("boot_dir") && !line.starts_with("state_dir"));
        let config: String = others.map(|line| format!("{line}\n")).collect();
        fs::write(here.join("bootlace.toml"), paths + &config).unwrap();
        sandbox
    }

    /// Runs `bootlace` with this folder's config in the place of every other.
    fn bootlace(&self, command: &str) -> Output {
        let config = self.0.path().join("bootlace.toml");
        let mut words = command.split_whitespace();
        let mut bootlace = Command::new(env!("CARGO_BIN_EXE_bootlace"));
        bootlace.args(words.next()).arg("-c").arg(config);
        while let Some(word) = words.next() {
            match word {
                "-c" => drop(words.next()),
                word => drop(bootlace.arg(word)),
            }
        }
        bootlace.output().unwrap()
    }
}

fn first_machine() -> Sandbox {
    Sandbox::new(&page("examples/first-machine.toml"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn examples() -> Vec<String> {
    let entries = fs::read_dir(path("examples")).unwrap().map(|entry| entry.unwrap().path());
    let configs = entries.filter(|path| path.extension() == Some("toml".as_ref()));
    configs.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Every `bootlace` command of the pages' blocks and of the lines between them, without `sudo` and comments.
fn commands() -> Vec<String> {
    let mut commands = Vec::new();
    for name in PAGES {
        let page = page(name);
        let fenced =
            blocks(&page).into_iter().filter(|block| ["sh", "console"].contains(&block.language.as_str()));
        let fenced: Vec<String> =
            fenced.flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        let inline = page
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|code| code.contains(" -c ") || code.contains(" --"))
            .map(str::to_owned);
        for line in fenced.into_iter().chain(inline) {
            let line = line.trim_start_matches("$ ").trim_start_matches("sudo ");
            let line = line.split(" #").next().unwrap_or_default().trim();
            if let Some(command) = line.strip_prefix("bootlace ") {
                commands.push(command.to_owned());
            }
        }
    }
    commands.sort();
    commands.dedup();
    commands
}

#[test]
fn configs_in_pages_are_the_examples_and_examples_load() {
    let examples = examples();
    assert_eq!(examples.len(), EXAMPLES);
    for example in &examples {
        let checked = Sandbox::new(example).bootlace("check");
        assert!(checked.status.success() && checked.stderr.is_empty(), "{}", stderr(&checked));
    }
    let shown: Vec<_> =
        PAGES.iter().flat_map(|name| blocks(&page(name))).filter(|block| block.language == "toml").collect();
    assert_eq!(shown.len(), CONFIGS_SHOWN);
    for block in shown {
        assert!(
            examples.iter().any(|example| example.ends_with(&block.text)),
            "no file of examples/ ends with:\n{}",
            block.text
        );
    }
}

#[test]
fn commands_in_pages_are_all_known_here() {
    let mut known: Vec<&str> = [&ASKED_OF_A_SERVER[..], &SERVERS, &RUN].concat();
    known.sort_unstable();
    assert_eq!(commands(), known);
}

#[test]
fn commands_that_need_no_server_do_their_work() {
    let sandbox = first_machine();
    for command in RUN {
        let done = sandbox.bootlace(command);
        assert!(done.status.success(), "bootlace {command}: {}", stderr(&done));
        assert!(!done.stdout.is_empty(), "bootlace {command} says nothing");
    }
}

#[test]
fn commands_that_ask_a_server_look_for_it() {
    let sandbox = first_machine();
    for command in ASKED_OF_A_SERVER {
        let asked = sandbox.bootlace(command);
        assert_eq!(asked.status.code(), Some(1), "bootlace {command}: {}", stderr(&asked));
        assert!(stderr(&asked).contains("admin.sock"), "bootlace {command}: {}", stderr(&asked));
    }
    for command in SERVERS {
        let understood = sandbox.bootlace(&format!("{command} --help"));
        assert!(understood.status.success(), "bootlace {command}: {}", stderr(&understood));
    }
}

#[test]
fn a_wrong_command_would_be_noticed() {
    let sandbox = first_machine();
    for command in ["serve --nonsense --help", "explain --mac nonsense", "boots one"] {
        assert_eq!(sandbox.bootlace(command).status.code(), Some(2), "bootlace {command}");
    }
}

#[test]
fn what_the_architecture_names_is_there() {
    let page = page("ARCHITECTURE.md");
    let homes = ["crates/", "fixtures/", "fuzz/", "xtask/"];
    let named =
        page.split('`').skip(1).step_by(2).filter(|code| homes.iter().any(|home| code.starts_with(home)));
    let (mut paths, mut tests) = (0, 0);
    for name in named {
        let (file, test) = name.split_once("::").map_or((name, None), |(file, test)| (file, Some(test)));
        assert!(path(file).exists(), "ARCHITECTURE.md names {file}, which is not there");
        paths += 1;
        if let Some(test) = test {
            let text = fs::read_to_string(path(file)).unwrap();
            assert!(text.contains(&format!("fn {test}(")), "{file} has no test {test}");
            tests += 1;
        }
    }
    assert!(paths > 30 && tests > 10, "only {paths} paths and {tests} tests were found");
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut links = 0;
    for name in PAGES {
        let page = page(name);
        let folder = Path::new(name).parent().unwrap();
        for target in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") || target.starts_with('#') {
                continue;
            }
            let file = target.split('#').next().unwrap();
            assert!(path("").join(folder).join(file).exists(), "{name}: {target} leads nowhere");
            links += 1;
        }
    }
    assert!(links > 5, "only {links} links were found");
}
