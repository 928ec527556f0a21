//! `[password.NAME]`: passwords of the systems that machines install. Templates see their hashes only.

use std::collections::{BTreeMap, BTreeSet};

use super::NAME_BYTES_MAX;
use super::file::Table;
use super::keys::PASSWORD;
use super::report::{At, Report};
use super::secrets;
use super::types::Secret;
use crate::crypt::{Hash, Method, Phrase, Salt, Setting};
use crate::finding::Finding;

/// Passwords of one config. With the other limits here it bounds how long their hashes keep a start waiting: some ten
/// seconds at the worst.
pub const PASSWORDS_MAX: usize = 32;
/// Rounds of SHA-256 and SHA-512 in the config: a third of a second.
pub const SHA_ROUNDS_MAX: u32 = 1_000_000;
/// Binary logarithm of bcrypt's rounds in the config: a quarter of a second.
pub const BCRYPT_ROUNDS_MAX: u32 = 12;
/// Cost of yescrypt in the config: a quarter of a second, and 128 MiB of memory meanwhile.
pub const YESCRYPT_ROUNDS_MAX: u32 = 8;

/// The passwords of a config by name.
///
/// A config that is read has no hashes yet, and templates show a placeholder for each password; so whoever only looks at
/// a config (`check`, `explain`) cannot print one. The server makes them once, before it serves the config.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passwords(BTreeMap<String, Password>);

/// `[password.NAME]`.
#[derive(Clone, Debug, PartialEq)]
struct Password {
    content: Content,
    /// What machines get.
    made: Option<Hash>,
}

/// What the file holds.
#[derive(Clone, Debug, PartialEq)]
enum Content {
    /// A hash that somebody made before.
    Hash(Hash),
    /// The password, and how it is hashed.
    Clear { text: Secret, method: Method, rounds: Option<u32> },
}

impl Passwords {
    /// Takes the hashes of `old` for what has not changed, so that a machine gets the same one however often the config is
    /// read again.
    pub fn keep_made(&mut self, old: &Self) {
        for (name, password) in &mut self.0 {
            if let Some(old) = old.0.get(name).filter(|old| old.content == password.content) {
                password.made.clone_from(&old.made);
            }
        }
    }

    /// Makes the hashes that are not made yet, which takes as long as the config asks for. `salt` draws 16 random bytes.
    pub fn make<E>(&mut self, mut salt: impl FnMut() -> Result<[u8; 16], E>) -> Result<(), E> {
        for password in self.0.values_mut().filter(|password| password.made.is_none()) {
            password.made = match &password.content {
                Content::Hash(hash) => Some(hash.clone()),
                Content::Clear { text, method, rounds } => {
                    let setting = Setting::new(*method, *rounds, Salt::Random(salt()?))
                        .expect("rounds of another range were a mistake of the config");
                    let phrase = Phrase::new(text.expose().as_bytes())
                        .expect("bytes that are no password were a mistake of the config");
                    Some(Hash::of(phrase, &setting))
                }
            };
        }
        Ok(())
    }

    /// What a template shows for a password: its hash, else a word in its place.
    pub(crate) fn shown(&self, name: &str) -> Option<String> {
        let password = self.0.get(name)?;
        Some(password.made.as_ref().map_or_else(|| placeholder(name), Hash::to_string))
    }

    /// A text, such as an error of a template, without the hashes that may have got into it.
    pub(crate) fn concealed(&self, text: &str) -> String {
        let made = self.0.iter().filter_map(|(name, password)| Some((name, password.made.as_ref()?)));
        made.fold(text.to_owned(), |text, (name, hash)| text.replace(hash.as_str(), &placeholder(name)))
    }
}

fn placeholder(name: &str) -> String {
    format!("hash-of-{name}")
}

/// The tables below `password`: what could be read of them, and all their names.
pub(super) fn read(top: &Table<'_>, report: &mut Report<'_>) -> (Passwords, BTreeSet<String>) {
    let (mut passwords, mut names) = (Passwords::default(), BTreeSet::new());
    let Some(tables) = top.get("password").and_then(|value| value.table(report)) else {
        return (passwords, names);
    };
    for (number, (key, value)) in tables.entries().enumerate() {
        if number == PASSWORDS_MAX {
            let message =
                format!("more than {PASSWORDS_MAX} passwords, each of which is hashed at the start");
            let fix = "write hashes into `vars`: `bootlace passwd` makes them";
            report.add(Finding::error("config-value", message).fix(fix), &key.span);
        }
        if !is_name(key.value) {
            let message = format!("\"{}\" cannot name a password", key.value.escape_debug());
            let fix = "use letters, digits and `_`, at most 64, and no digit at the start";
            report.add(Finding::error("config-value", message).fix(fix), &key.span);
        }
        names.insert(key.value.to_owned());
        let Some(table) = value.table(report) else { continue };
        let table = table.known_only(&PASSWORD, report);
        if let Some(content) = content(&key, &table, report) {
            passwords.0.insert(key.value.to_owned(), Password { content, made: None });
        }
    }
    (passwords, names)
}

/// What a template can write behind `password.`.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn content(name: &At<&str>, table: &Table<'_>, report: &mut Report<'_>) -> Option<Content> {
    let method = method(table, report);
    let rounds = rounds(method, table, report);
    if table.get("file").is_none() {
        let message = format!("the password `{}` has no `file`", name.value.escape_debug());
        let fix = "add file = \"...\", with the password alone in that file, or its hash";
        report.add(Finding::error("config-missing", message).fix(fix), &name.span);
    }
    let text = secrets::read(table, "file", report)?;
    if !looks_like_a_hash(text.value.expose()) {
        if let Err(error) = Phrase::new(text.value.expose().as_bytes()) {
            report.add(Finding::error("config-file", error.to_string()), &text.span);
            return None;
        }
        return Some(Content::Clear { text: text.value, method, rounds });
    }
    match text.value.expose().parse::<Hash>() {
        Ok(hash) if is_plain(hash.as_str()) => {
            for key in ["method", "rounds"] {
                if let Some(value) = table.get(key) {
                    let message = format!("`{key}` has no effect: the file holds a hash already");
                    report.add(Finding::warning("config-unused", message).fix("remove it"), &value.span);
                }
            }
            Some(Content::Hash(hash))
        }
        unusable => {
            let why = unusable
                .err()
                .map_or("its salt has signs that scripts cannot hold".to_owned(), |error| error.to_string());
            let message = format!("the file looks like a hash and is none: {why}");
            let fix = "make it with `bootlace passwd`, or write the password itself into the file";
            report.add(Finding::error("config-file", message).fix(fix), &text.span);
            None
        }
    }
}

/// `$`, an identifier and another `$`: nobody's password, and hashing a hash locks its user out.
fn looks_like_a_hash(text: &str) -> bool {
    let id = text.strip_prefix('$').and_then(|rest| rest.split_once('$')).map(|(id, _)| id);
    id.is_some_and(|id| (1..=8).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Without what kernel arguments and scripts would have to replace.
fn is_plain(hash: &str) -> bool {
    hash.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/' | b'$' | b'='))
}

fn method(table: &Table<'_>, report: &mut Report<'_>) -> Method {
    let default = Method::Sha512;
    let Some(text) = table.text("method", report) else { return default };
    text.value.parse().unwrap_or_else(|()| {
        report.add(super::one_of("method", text.value, &Method::ALL.map(Method::name)), &text.span);
        default
    })
}

fn rounds(method: Method, table: &Table<'_>, report: &mut Report<'_>) -> Option<u32> {
    let number = table.get("rounds")?.integer(report)?;
    let Some(range) = method.rounds() else {
        let message = format!("{method} has no choice of rounds");
        report.add(Finding::error("config-value", message).fix("remove `rounds`"), &number.span);
        return None;
    };
    let range = *range.start()..=most(method).min(*range.end());
    let rounds = u32::try_from(number.value).ok().filter(|rounds| range.contains(rounds));
    if rounds.is_none() {
        let message = format!("{} is not a number of rounds for {method}", number.value);
        let fix = format!("write {} to {}", range.start(), range.end());
        report.add(Finding::error("config-value", message).fix(fix), &number.span);
    }
    rounds
}

/// What a server can be kept waiting for.
fn most(method: Method) -> u32 {
    match method {
        Method::Sha256 | Method::Sha512 => SHA_ROUNDS_MAX,
        Method::Md5 => Method::Md5.rounds_default(),
        Method::Yescrypt => YESCRYPT_ROUNDS_MAX,
        Method::Bcrypt => BCRYPT_ROUNDS_MAX,
    }
}
