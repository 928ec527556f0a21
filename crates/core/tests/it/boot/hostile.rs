//! Whatever a machine reports and whatever stands in `vars`: a script keeps its commands.

use bootlace_core::boot::template::Language;
use bootlace_core::config::{BootKind, Config};
use bootlace_core::files::{Resource, resolve};
use bootlace_core::model::{Facts, Text, Var};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, RngSeed};

use super::sample::{add_boot, config, debian_loaders, done, linux, menu, name, request, template};

/// The same cases on every run.
fn cases(cases: u32) -> Cases {
    Cases { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(0x6970_7865), ..Cases::default() }
}

/// A line as iPXE splits it: at the blanks of C's `isspace`, up to a comment.
fn words(line: &str) -> Vec<&str> {
    line.split([' ', '\t', '\r', '\u{b}', '\u{c}'])
        .filter(|word| !word.is_empty())
        .take_while(|word| !word.starts_with('#') || *word == "#!ipxe")
        .collect()
}

fn lines(script: &str) -> Vec<Vec<&str>> {
    // A line that ends with a backslash goes on in the next.
    assert!(!script.contains("\\\n") && !script.contains("\\\r\n"), "{script}");
    script.split('\n').map(words).filter(|line| !line.is_empty()).collect()
}

fn is_operator(word: &str) -> bool {
    matches!(word, "||" | "&&" | ";")
}

/// What a script does: for each line the names of its commands and the operators between them.
fn commands(script: &str) -> Vec<Vec<&str>> {
    lines(script)
        .into_iter()
        .map(|line| {
            let mut begins = true;
            line.into_iter()
                .filter(|word| std::mem::replace(&mut begins, is_operator(word)) || is_operator(word))
                .collect()
        })
        .collect()
}

/// The options that commands are given.
fn options(script: &str) -> Vec<&str> {
    lines(script).into_iter().flatten().filter(|word| word.starts_with('-')).collect()
}

/// Everything that iPXE expands: what stands between `${` and `}`.
fn expansions(script: &str) -> Vec<&str> {
    script.split("${").skip(1).map(|rest| rest.split('}').next().unwrap_or_default()).collect()
}

const SCRIPT: &str = "#!ipxe\n\
    echo Machine {{ client.serial }} of {{ client.manufacturer }}{{ client.product }} is a {{ vars.role }}\n\
    kernel http://{{ server.ip }}/{{ client.product }}/linux a={{ client.serial }} {{ vars.args }} || goto out\n\
    set x {{ vars.role }}{{ vars.args }}\n\
    iseq ${serial} {{ client.asset }} && chain {{ vars.role }}/x ||\n\
    :out\n\
    exit\n";

fn sample() -> Config {
    let mut config = config();
    add_boot(&mut config, "hostile", BootKind::Ipxe { script: template(SCRIPT, Language::Ipxe) });
    let args = "a={{ client.serial }} {{ vars.args }} {{ client.manufacturer }}={{ client.product }} b=\"{{ client.asset }}\"";
    add_boot(&mut config, "args", linux(args));
    add_boot(&mut config, "choice", menu(&["args", "url"], "args", None));
    let url = "http://{{ server.ip }}/{{ client.serial }}/{{ client.product }}?a={{ client.asset }}&b={{ vars.role }}";
    add_boot(&mut config, "url", BootKind::Chain { url: template(url, Language::Url) });
    config
}

fn script(config: &Config, boot: &str, reported: &[String; 4], vars: &[String; 2]) -> String {
    let mut config = config.clone();
    config.default = name(boot);
    let boot = config.boots.get_mut(&name(boot)).unwrap();
    boot.vars = [("role".to_owned(), vars[0].clone()), ("args".to_owned(), vars[1].clone())].into();
    // Titles come from the config, too.
    for boot in config.boots.values_mut() {
        boot.title.clone_from(&vars[0]);
        if let BootKind::Menu(menu) = &mut boot.kind {
            menu.title.clone_from(&vars[1]);
        }
    }
    let mut known = Facts::new();
    known.set(Var::Firmware, "bios");
    let listed = [Var::Serial, Var::Manufacturer, Var::Product, Var::Asset];
    for (var, value) in listed.into_iter().zip(reported) {
        known.set(var, Text::clean(value.as_bytes()));
    }
    let (known, loaders) = (done(known), debian_loaders());
    match resolve(&config, "boot.ipxe", &request(&known, "", &loaders)).resource {
        Resource::Text { body, .. } => body,
        other => panic!("{other:?}"),
    }
}

/// Text made of what is dangerous, and of anything.
pub(super) fn value() -> impl Strategy<Value = String> {
    let dangerous = prop::sample::select(vec![
        "\n",
        "\r\n",
        " ",
        "\t",
        ";",
        "||",
        "&&",
        "|",
        "&",
        "#",
        "\\",
        "${",
        "}",
        "$",
        "{",
        "--replace",
        "shell",
        ":",
        "exit",
        "\"",
        "'",
        "%0a",
        "\0",
        "\u{1b}[2J",
        "à",
        "\u{a0}",
        "\u{2028}",
        "..",
        "/",
        "?",
        "x",
        "{{",
        "%}",
    ]);
    prop_oneof![
        prop::collection::vec(dangerous, 1..8).prop_map(|parts| parts.concat()),
        any::<String>(),
        "[ -~]{1,40}",
    ]
    // An empty value changes the words of a line, which is not what this is about.
    .prop_map(|text| if Text::from(text.as_str()).is_empty() { format!("x{text}") } else { text })
}

const BOOTS: [&str; 4] = ["hostile", "args", "url", "choice"];

fn plain<const N: usize>() -> [String; N] {
    std::array::from_fn(|_| "x".to_owned())
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_script_keeps_its_commands(
        reported in [value(), value(), value(), value()],
        vars in [value(), value()],
    ) {
        let config = sample();
        for boot in BOOTS {
            let expected = script(&config, boot, &plain(), &plain());
            let got = script(&config, boot, &reported, &vars);
            prop_assert_eq!(commands(&got), commands(&expected), "{}", got);
            prop_assert_eq!(expansions(&got), expansions(&expected), "{}", got);
        }
    }

    #[test]
    fn what_a_machine_reports_stays_one_word(reported in [value(), value(), value(), value()]) {
        let config = sample();
        for boot in BOOTS {
            let expected = script(&config, boot, &plain(), &plain());
            let got = script(&config, boot, &reported, &plain());
            let counts = |script: &str| lines(script).iter().map(Vec::len).collect::<Vec<_>>();
            prop_assert_eq!(counts(&got), counts(&expected), "{}", got);
            prop_assert_eq!(options(&got), options(&expected), "{}", got);
            prop_assert!(got.is_ascii(), "{}", got);
        }
    }
}

#[test]
fn the_oracle_sees_what_it_looks_for() {
    let injected = "echo a ; shell\necho b #c || d\nkernel --x y || goto z\n";
    assert_eq!(commands(injected), [vec!["echo", ";", "shell"], vec!["echo"], vec!["kernel", "||", "goto"]]);
    assert_eq!(options(injected), ["--x"]);
    assert_eq!(expansions("a ${b} ${c:d}"), ["b", "c:d"]);
}
