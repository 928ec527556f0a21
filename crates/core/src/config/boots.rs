//! `[boot.NAME]`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use bootlace_wire::dhcp::Feature;

use super::file::Table;
use super::keys::{BOOT, Kind, instead};
use super::names::BootNames;
use super::overrides::vars;
use super::report::{At, Report};
use super::san::SanKernel;
use super::types::{Boot, BootKind, BootName, LocalHow, Location, Menu, Pxelinux};
use super::{disk, install, san, scalar, templates};
use crate::boot::plan::{reads_passwords, reads_vars};
use crate::boot::template::{Language, Template};
use crate::finding::Finding;
use crate::nearest::nearest;

/// Of a boot that the file does not name: what an empty config does.
const LOCAL: &str = "local";
/// Longest wait of a menu. Longer ones are written by leaving `timeout` out.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The tables below `boot`, with their names.
pub(super) fn tables<'a>(top: &Table<'a>, report: &mut Report<'_>) -> Vec<(At<BootName>, Table<'a>)> {
    let Some(boots) = top.get("boot").and_then(|value| value.table(report)) else { return Vec::new() };
    let mut tables = Vec::new();
    for (key, value) in boots.entries() {
        let Some(name) = BootName::new(key.value) else {
            let message = format!("\"{}\" cannot name a boot", key.value.escape_debug());
            let fix = "use letters, digits, `-`, `_` and `.`, at most 64, and no dash at the start";
            report.add(Finding::error("config-value", message).fix(fix), &key.span);
            continue;
        };
        if let Some(table) = value.table(report) {
            tables.push((At { value: name, span: key.span }, table));
        }
    }
    tables
}

/// The boot that is there without being written.
pub(super) fn implicit() -> Option<Boot> {
    let name = BootName::new(LOCAL)?;
    let kind = BootKind::Local(LocalHow::Auto);
    Some(Boot { title: name.to_string(), name, kind, vars: BTreeMap::new(), needs: BTreeSet::new() })
}

/// Reads one boot; `None` when its kind cannot be told or lacks what it needs, which has been reported.
pub(super) fn boot(
    name: &At<BootName>,
    table: &Table<'_>,
    names: &BootNames,
    report: &mut Report<'_>,
) -> Option<Boot> {
    let vars = vars(table, report);
    let needs = needs(table, report);
    let title = table.text("title", report);
    if let Some(title) = title.as_ref().filter(|title| title.value.contains(char::is_control)) {
        let message = "a title is one line without control characters";
        report.add(Finding::error("config-value", message), &title.span);
    }
    let kind = kind(name, table, report)?;
    known_keys(kind, table, report);
    let title = title.map_or_else(|| name.value.to_string(), |title| title.value.to_owned());
    let kind = match kind {
        Kind::Local => BootKind::Local(local_how(table, report)),
        Kind::Linux => linux(name, table, report)?,
        Kind::Chain => BootKind::Chain { url: chain_url(name, table, report)? },
        Kind::Ipxe => BootKind::Ipxe { script: templates::script(name, table, report)? },
        Kind::Pxelinux => BootKind::Pxelinux(pxelinux(table, report)?),
        Kind::Efi => {
            BootKind::Efi { file: location("file", &required(name, table, "file", report)?, report)? }
        }
        Kind::Menu => BootKind::Menu(menu(name, table, &title, names, report)?),
        Kind::San => BootKind::San(san::san(name, table, report)?),
        Kind::Disk => BootKind::Disk(disk::disk(name, table, report)?),
        Kind::Wait => BootKind::Wait,
        Kind::Install => BootKind::Install(install::install(name, table, report)?),
    };
    Some(Boot { name: name.value.clone(), title, kind, vars, needs })
}

fn kind(name: &At<BootName>, table: &Table<'_>, report: &mut Report<'_>) -> Option<Kind> {
    let all = || Kind::ALL.map(Kind::name);
    if table.get("kind").is_none() {
        let guess = table.entries().find_map(|(key, _)| Kind::with_key(key.value).next());
        let fix = match guess {
            Some(kind) => format!("add kind = \"{}\"", kind.name()),
            None => format!("add a kind: {}", all().join(", ")),
        };
        let message = format!("the boot `{}` has no `kind`", name.value);
        report.add(Finding::error("config-missing", message).fix(fix), &name.span);
        return None;
    }
    let text = table.text("kind", report)?;
    let kind = Kind::by_name(text.value);
    if kind.is_none() {
        report.add(super::one_of("kind", text.value, &all()), &text.span);
    }
    kind
}

/// Features of iPXE by their names: what a script of the user's needs, nobody else can tell.
fn needs(table: &Table<'_>, report: &mut Report<'_>) -> BTreeSet<Feature> {
    let mut needs = BTreeSet::new();
    for text in table.texts("needs", report) {
        match Feature::ALL.into_iter().find(|feature| feature.name() == text.value) {
            Some(feature) => {
                needs.insert(feature);
            }
            None => {
                let known = Feature::ALL.map(Feature::name);
                report.add(super::one_of("needs", text.value, &known), &text.span);
            }
        }
    }
    needs
}

/// Reports keys that no boot has, and those of another kind.
fn known_keys(kind: Kind, table: &Table<'_>, report: &mut Report<'_>) {
    for (key, _) in table.entries() {
        if BOOT.keys.contains(&key.value) || kind.keys().contains(&key.value) {
            continue;
        }
        let title = format!("a boot of kind `{}`", kind.name());
        let others: Vec<_> = Kind::with_key(key.value).map(|kind| format!("`{}`", kind.name())).collect();
        let fix = match others.is_empty() {
            true => instead(key.value, &[kind.keys(), BOOT.keys].concat(), &title),
            false => format!("`{}` belongs to kind {}", key.value, others.join(" and ")),
        };
        let message = format!("unknown key `{}` in {title}", key.value.escape_debug());
        report.add(Finding::error("config-unknown-key", message).fix(fix), &key.span);
    }
}

/// A text that a kind cannot do without.
pub(super) fn required<'a>(
    name: &At<BootName>,
    table: &Table<'a>,
    key: &str,
    report: &mut Report<'_>,
) -> Option<At<&'a str>> {
    if table.get(key).is_none() {
        let message = format!("the boot `{}` has no `{key}`", name.value);
        let finding = Finding::error("config-missing", message);
        report.add(finding.fix(format!("add {key} = \"...\"")), &name.span);
        return None;
    }
    table.text(key, report)
}

fn local_how(table: &Table<'_>, report: &mut Report<'_>) -> LocalHow {
    let Some(text) = table.text("how", report) else { return LocalHow::Auto };
    match text.value {
        "auto" => LocalHow::Auto,
        "exit" => LocalHow::Exit,
        "sanboot" => LocalHow::Sanboot,
        "silence" => LocalHow::Silence,
        other => {
            if let Some(path) = other.strip_prefix("efi:") {
                if path.is_empty() || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
                    let message = "`efi:` takes the path of a program without blanks";
                    let fix = r"write it as efi:\EFI\debian\grubx64.efi";
                    report.add(Finding::error("config-value", message).fix(fix), &text.span);
                }
                return LocalHow::Efi(path.to_owned());
            }
            let known = ["auto", "exit", "sanboot", "silence", "efi:PATH"];
            report.add(super::one_of("how", other, &known), &text.span);
            LocalHow::Auto
        }
    }
}

fn linux(name: &At<BootName>, table: &Table<'_>, report: &mut Report<'_>) -> Option<BootKind> {
    let kernel = required(name, table, "kernel", report).and_then(|text| location("kernel", &text, report));
    let texts = table.texts("initrd", report);
    let initrd: Vec<_> = texts.iter().filter_map(|text| location("initrd", text, report)).collect();
    let cmdline = words("cmdline", table, report);
    let shim = table.text("shim", report).and_then(|text| location("shim", &text, report));
    Some(BootKind::Linux { kernel: kernel?, initrd, cmdline: cmdline?, shim })
}

/// The kernel of a boot with a SAN disk, which need not have one; `None` when it has something wrong.
pub(super) fn san_kernel(
    name: &At<BootName>,
    table: &Table<'_>,
    report: &mut Report<'_>,
) -> Option<Option<SanKernel>> {
    if table.get("kernel").is_none() {
        for key in ["initrd", "cmdline"] {
            if let Some(value) = table.get(key) {
                let message = format!("`{key}` without `kernel`");
                report.add(Finding::error("config-missing", message).fix("add kernel"), &value.span);
            }
        }
        return Some(None);
    }
    match linux(name, table, report)? {
        BootKind::Linux { kernel, initrd, cmdline, .. } => Some(Some(SanKernel { kernel, initrd, cmdline })),
        _ => None,
    }
}

fn pxelinux(table: &Table<'_>, report: &mut Report<'_>) -> Option<Pxelinux> {
    let file = match table.parsed("file", scalar::boot_file, report) {
        Some(file) => file.value,
        None => "lpxelinux.0".to_owned(),
    };
    let [cmdline, serial, menu_title] =
        ["cmdline", "serial", "menu_title"].map(|key| words(key, table, report));
    Some(Pxelinux { file, cmdline: cmdline?, serial: serial?, menu_title: menu_title? })
}

/// A line of words; none without the key.
pub(super) fn words(key: &str, table: &Table<'_>, report: &mut Report<'_>) -> Option<Template> {
    let empty = At { value: "", span: table.span.clone() };
    let text = table.text(key, report).unwrap_or(empty);
    templates::inline(key, &text, Language::KernelArgs, report)
}

/// A file name, or a URL that the machine fetches itself.
pub(super) fn location(key: &str, text: &At<&str>, report: &mut Report<'_>) -> Option<Location> {
    if is_url(text.value) {
        return templates::inline(key, text, Language::Url, report).map(Location::Url);
    }
    scalar::parsed(text, scalar::boot_file, report).map(|name| Location::File(name.value))
}

/// `scheme://...`; the rest may hold template variables, as may all of it.
fn is_url(text: &str) -> bool {
    let has_scheme = text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+')
    });
    has_scheme || text.trim_start().starts_with("{{")
}

fn chain_url(name: &At<BootName>, table: &Table<'_>, report: &mut Report<'_>) -> Option<Template> {
    let text = required(name, table, "url", report)?;
    if !is_url(text.value) {
        let message = format!("\"{}\" is no URL", text.value.escape_debug());
        let fix = "write it as http://boot.example.com/menu.ipxe";
        report.add(Finding::error("config-value", message).fix(fix), &text.span);
        return None;
    }
    templates::inline("url", &text, Language::Url, report)
}

fn menu(
    name: &At<BootName>,
    table: &Table<'_>,
    title: &str,
    names: &BootNames,
    report: &mut Report<'_>,
) -> Option<Menu> {
    let timeout = table.parsed("timeout", scalar::duration, report);
    if let Some(at) = &timeout
        && !(Duration::from_secs(1)..=TIMEOUT_MAX).contains(&at.value)
    {
        let fix = "write 1s to 24h, or leave it out to wait for ever";
        report.add(Finding::error("config-value", "no usable timeout").fix(fix), &at.span);
    }
    let texts = table.texts("entries", report);
    if texts.is_empty() {
        let span: Range<usize> = table.get("entries").map_or(name.span.clone(), |value| value.span);
        let message = format!("the menu `{}` has nothing to choose", name.value);
        report.add(Finding::error("config-missing", message).fix("list boots in `entries`"), &span);
    }
    let mut entries: Vec<BootName> = Vec::new();
    for text in &texts {
        let Some(entry) = names.find(text, report) else { continue };
        if entries.contains(&entry) {
            let message = format!("`{entry}` is in this menu twice");
            report.add(Finding::error("config-duplicate", message).fix("remove one of them"), &text.span);
        } else {
            entries.push(entry);
        }
    }
    let chosen = table.text("default", report).and_then(|text| {
        let found = names.find(&text, report)?;
        if !entries.contains(&found) {
            let message = format!("the default `{found}` is not among the entries");
            report.add(Finding::error("config-reference", message).fix("add it to `entries`"), &text.span);
        }
        Some(found)
    });
    let default = chosen.or_else(|| entries.first().cloned())?;
    Some(Menu { title: title.to_owned(), timeout: timeout.map(|at| at.value), entries, default })
}

/// Warns of `vars.NAME` in templates that nothing sets: `elsewhere` are those of machines and rules.
pub(super) fn vars_are_set(
    boot: &Boot,
    name: &At<BootName>,
    elsewhere: &BTreeSet<&str>,
    report: &mut Report<'_>,
) {
    let missing = |var: &&str| !boot.vars.contains_key(*var) && !elsewhere.contains(*var);
    for var in reads_vars(boot).into_iter().filter(missing) {
        let message = format!("a template of `{}` reads vars.{var}, which nothing sets", boot.name);
        let fix = "add it to `vars` of this boot, a machine or a rule";
        report.add(Finding::warning("config-var-unset", message).fix(fix), &name.span);
    }
}

/// Reports `password.NAME` in templates without a `[password.NAME]`.
pub(super) fn passwords_exist(
    boot: &Boot,
    name: &At<BootName>,
    known: &BTreeSet<String>,
    report: &mut Report<'_>,
) {
    for password in reads_passwords(boot).into_iter().filter(|password| !known.contains(*password)) {
        let message = format!("a template of `{}` reads password.{password}, which is not there", boot.name);
        let fix = match nearest(password, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `password.{near}`?"),
            None => format!("define [password.{password}]"),
        };
        report.add(Finding::error("config-reference", message).fix(fix), &name.span);
    }
}
