//! wire, core and probe compute: they read no clock, open no socket and no file, and log nothing.

use toml::Table;

use super::{Complaint, Source, arrows, find_word};

const PURE: &[&str] = &["crates/wire/", "crates/core/", "crates/probe/"];

/// Names that reach outside. `std::net` itself is fine, as its addresses are plain data.
const FORBIDDEN_NAMES: &[&str] = &[
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "ToSocketAddrs",
    "std::fs",
    "fs::",
    "File::",
    "std::os",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime::now",
    "Instant::now",
    "println!",
    "eprintln!",
    "print!",
    "tokio",
    "tracing",
    "log::",
];

/// Packages that have no place in what only computes.
const FORBIDDEN_PACKAGES: &[&str] = &[
    "tokio",
    "rusqlite",
    "hyper",
    "axum",
    "socket2",
    "rustix",
    "libc",
    "nix",
    "tracing",
    "log",
    "getrandom",
    "rand",
    "tempfile",
];

pub(super) fn pure_crates_touch_nothing(sources: &[Source]) -> Vec<Complaint> {
    let pure = |source: &&Source| PURE.iter().any(|dir| source.path.starts_with(dir));
    sources.iter().filter(pure).flat_map(check).collect()
}

fn check(source: &Source) -> Vec<Complaint> {
    if source.path.ends_with("Cargo.toml") {
        return check_manifest(source);
    }
    // Tests may read fixtures.
    if !source.is_rust() || source.path.contains("/tests/") {
        return Vec::new();
    }
    code_lines(source)
        .filter_map(|(number, line)| {
            let name = FORBIDDEN_NAMES.iter().find(|name| find_word(line, name).is_some())?;
            let advice = format!("`{name}` reaches outside: take what it would give as an argument");
            Some(source.complain(number, advice))
        })
        .collect()
}

/// Lines without their comments, up to the tests at the end of the file.
fn code_lines(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    source
        .lines()
        .take_while(|(_, line)| *line != "#[cfg(test)]")
        .map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
}

fn check_manifest(source: &Source) -> Vec<Complaint> {
    let Ok(mut manifest) = toml::from_str::<Table>(&source.text) else { return Vec::new() };
    manifest.remove("dev-dependencies");
    let forbidden: Vec<String> =
        arrows::dependencies(&manifest).filter(|name| FORBIDDEN_PACKAGES.contains(&name.as_str())).collect();
    forbidden
        .iter()
        .map(|name| {
            let line = source.lines().find(|(_, line)| line.starts_with(name.as_str()));
            let advice = format!("{name} has no place in a crate that only computes");
            source.complain(line.map_or(1, |(number, _)| number), advice)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_found_and_tests_are_left_alone() {
        let code = "// Instant::now() is not for us\nlet now = Instant::now();\n#[cfg(test)]\nuse std::fs;\n";
        let complaints = pure_crates_touch_nothing(&[Source::new("crates/core/src/x.rs", code)]);
        assert_eq!(complaints.iter().map(|complaint| complaint.line).collect::<Vec<_>>(), [2]);
        assert_eq!(pure_crates_touch_nothing(&[Source::new("crates/store/src/x.rs", code)]), []);
        assert_eq!(pure_crates_touch_nothing(&[Source::new("crates/core/tests/it/main.rs", code)]), []);
    }

    #[test]
    fn addresses_are_data_but_sockets_are_not() {
        let complaints = |line| pure_crates_touch_nothing(&[Source::new("crates/wire/src/x.rs", line)]).len();
        assert_eq!(complaints("use std::net::Ipv4Addr;"), 0);
        assert_eq!(complaints("use std::net::{Ipv4Addr, UdpSocket};"), 1);
        assert_eq!(complaints("use std::{fs, time::Duration};\nfs::read(x)"), 1);
    }

    #[test]
    fn packages_that_do_io_are_found() {
        let manifest = "[dependencies]\ntokio = \"1\"\n[dev-dependencies]\ntempfile = \"3\"\n";
        let complaints = pure_crates_touch_nothing(&[Source::new("crates/core/Cargo.toml", manifest)]);
        assert_eq!(complaints.len(), 1);
        assert_eq!(complaints[0].line, 2);
    }
}
