//! Scripts of any kind: a walk ends and never panics.

use std::collections::BTreeMap;

use bootlace_core::explain::ipxe::walk;
use bootlace_core::explain::pxelinux::config;
use proptest::prelude::*;

const WORDS: [&str; 44] = [
    "chain",
    "boot",
    "kernel",
    "initrd",
    "imgexec",
    "imgfetch",
    "sanboot",
    "exit",
    "shell",
    "goto",
    "isset",
    "iseq",
    "set",
    "clear",
    "menu",
    "item",
    "choose",
    "prompt",
    "echo",
    ":a",
    ":b",
    "a",
    "b",
    "||",
    "&&",
    ";",
    "#",
    "\\",
    "${",
    "}",
    "${a}",
    "${b:uristring}",
    "${a${b}}",
    "${net0/mac:hexhyp}",
    "--name",
    "--default",
    "--timeout",
    "-n",
    "http://h/x",
    "//x",
    "/x",
    "?",
    "é",
    "\u{0}",
];

fn scripts() -> impl Strategy<Value = String> {
    let line = prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..7);
    let lines = prop::collection::vec(line.prop_map(|words| words.join(" ")), 0..30);
    prop_oneof![
        lines.prop_map(|lines| format!("#!ipxe\n{}", lines.join("\n"))),
        "(#!ipxe\n)?(\\PC|\n){0,200}",
    ]
}

fn settings() -> impl Strategy<Value = BTreeMap<String, String>> {
    let value = prop_oneof![Just("${a}${b}".to_owned()), Just("a".to_owned()), "\\PC{0,20}"];
    prop::collection::btree_map("[ab]|mac", value, 0..3)
}

proptest! {
    #[test]
    fn any_script_ends(script in scripts(), url in "\\PC{0,20}|http://h/f/boot.ipxe", settings in settings()) {
        walk(&script, &url, &settings, None);
        config::walk(&script, Some("a"));
    }
}

#[test]
fn settings_that_grow_stay_bounded() {
    let script = "#!ipxe\nset a xxxxxxxx\n:l\nset a ${a}${a}\ngoto l\n";
    walk(script, "http://h/boot.ipxe", &BTreeMap::new(), None);
    let fetches = "#!ipxe\nset a xxxxxxxx\n:l\nset a ${a}${a}\nkernel ${a}\ngoto l\n";
    walk(fetches, "http://h/boot.ipxe", &BTreeMap::new(), None);
}
