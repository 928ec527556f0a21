//! Configs and commands of the pages, given to the real program.

use std::fs;
use std::path::Path;

use super::sandbox::{Sandbox, stderr};
use super::{PAGES, blocks, page, path};

/// Configs that stand in pages; the same texts lie in `examples/`, less comments at their head.
const CONFIGS_SHOWN: usize = 7;
const EXAMPLES: usize = 8;
/// Blocks with a command and what it says.
const OUTPUTS_SHOWN: usize = 2;
/// Commands of the pages that ask a running server. Without one they say where they looked for it, which shows
/// that they were understood; what they answer is shown by the demo and the lab's scenarios.
const ASKED_OF_A_SERVER: [&str; 12] = [
    "boots",
    "boots 1",
    "image list",
    "leases",
    "machines",
    "machines adopt 52:54:00:12:34:56 web2 --boot rescue",
    "machines next-boot web1 debian-12 --expires 2h",
    "machines next-boot web1 rescue",
    "machines next-boot web1 rescue --confirm X1 --expires 2h",
    "machines next-boot web1 --cancel",
    "overlay list",
    "overlay reset web1 seat",
];
/// Commands that run servers, send to a network or need a disk or an image; here it is only shown that their arguments are right.
const SERVERS: [&str; 14] = [
    "serve",
    "serve --log debug",
    "doctor -c /etc/bootlace/bootlace.toml",
    "probe --interface eth0 --firmware uefi-x64",
    "probe --interface eth0 --firmware ipxe --count 500",
    "probe --local --interface eth0",
    "probe --local --interface eth0 --firmware uefi-x64",
    "loaders verify",
    "image import debian-12-genericcloud-amd64.qcow2 debian-12",
    "image info debian-12",
    "image verify debian-12",
    "image rm debian-12-old",
    "overlay export web1 seat /srv/images/copy.img",
    "overlay promote web1 seat",
];
/// Commands that do all they can without a server.
const RUN: [&str; 8] = [
    "check",
    "check -c FILE",
    "explain --mac 52:54:00:12:34:56",
    "explain --mac 52:54:00:12:34:56 --firmware uefi-x64",
    "explain -c examples/classic.toml --mac 00:11:22:33:44:55",
    "explain -c examples/pxelinux.toml --mac 00:12:34:56:78:90 --firmware bios",
    "loaders list",
    "render --mac 52:54:00:12:34:56 --set manufacturer=QEMU --set serial=X1 short.preseed",
];
/// Commands that need what a server has left, in an order in which each finds what it needs.
const OF_STATE: [&str; 4] = [
    "state backup /var/backups/bootlace",
    "state verify",
    "state verify /var/backups/bootlace",
    "state restore /var/backups/bootlace",
];

fn examples() -> Vec<String> {
    let entries = fs::read_dir(path("examples")).unwrap().map(|entry| entry.unwrap().path());
    let configs = entries.filter(|path| path.extension() == Some("toml".as_ref()));
    configs.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Every `bootlace` command of the pages, without `sudo` and comments: lines of `sh` blocks, lines of `console`
/// blocks behind a `$`, and code between backticks that has an option.
fn commands() -> Vec<String> {
    let mut lines = Vec::new();
    for name in PAGES {
        let page = page(name);
        for block in blocks(&page) {
            let typed = block.text.lines().filter_map(|line| match block.language.as_str() {
                "sh" => Some(line),
                "console" => line.strip_prefix("$ "),
                _ => None,
            });
            lines.extend(typed.map(str::to_owned));
        }
        let inline = page.split('`').skip(1).step_by(2);
        lines.extend(inline.filter(|code| code.contains(" -c ") || code.contains(" --")).map(str::to_owned));
    }
    let mut commands: Vec<String> = lines.iter().filter_map(|line| command(line)).collect();
    commands.sort();
    commands.dedup();
    commands
}

fn command(line: &str) -> Option<String> {
    let line = line.trim_start_matches("sudo ").split(" #").next()?;
    line.trim().strip_prefix("bootlace ").map(str::to_owned)
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
fn templates_in_pages_are_those_of_the_examples() {
    let shown = PAGES.iter().flat_map(|name| blocks(&page(name))).filter(|block| block.language == "jinja");
    let shown: Vec<_> = shown.map(|block| block.text).collect();
    let entries = fs::read_dir(path("examples/templates")).unwrap().map(|entry| entry.unwrap().path());
    let examples: Vec<_> = entries.map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(!shown.is_empty() && shown.iter().all(|block| examples.contains(block)), "{shown:?}");
}

#[test]
fn commands_in_pages_are_all_known_here() {
    let mut known: Vec<&str> = [&ASKED_OF_A_SERVER[..], &SERVERS, &RUN, &OF_STATE].concat();
    known.sort_unstable();
    assert_eq!(commands(), known);
}

#[test]
fn commands_that_need_no_server_do_their_work() {
    for command in RUN {
        let done = Sandbox::for_command(command).bootlace(command);
        assert!(done.status.success(), "bootlace {command}: {}", stderr(&done));
        assert!(!done.stdout.is_empty(), "bootlace {command} says nothing");
    }
}

#[test]
fn commands_that_need_a_state_do_their_work() {
    let sandbox = Sandbox::for_command("").with_state();
    for command in OF_STATE {
        let done = sandbox.bootlace(command);
        assert!(done.status.success() && !done.stdout.is_empty(), "bootlace {command}: {}", stderr(&done));
    }
}

#[test]
fn commands_that_ask_a_server_look_for_it() {
    let sandbox = Sandbox::for_command("");
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

/// `...` stands for lines or for the rest of a line that are not shown.
#[test]
fn output_in_pages_is_what_the_program_says() {
    let shown = PAGES.iter().flat_map(|name| blocks(&page(name)));
    let shown: Vec<_> = shown.filter(|block| block.language == "console").collect();
    assert_eq!(shown.len(), OUTPUTS_SHOWN);
    for block in shown {
        let (typed, expected) = block.text.split_once('\n').unwrap();
        let command = command(typed.strip_prefix("$ ").unwrap()).unwrap();
        let output = Sandbox::for_command(&command).bootlace(&command);
        let said = String::from_utf8(output.stdout).unwrap();
        let mut said = said.lines();
        for line in expected.lines().filter(|line| line.trim() != "...") {
            let fits = |actual: &str| match line.strip_suffix("...") {
                Some(start) => actual.starts_with(start),
                None => actual == line,
            };
            assert!(said.any(fits), "bootlace {command} does not say, or not there: {line}");
        }
    }
}

#[test]
fn a_wrong_command_would_be_noticed() {
    let sandbox = Sandbox::for_command("");
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
