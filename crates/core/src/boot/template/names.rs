//! The names that templates can use, checked when the config is read.

use std::collections::{BTreeSet, HashSet};

use super::{Language, TemplateError};
use crate::model::Var;
use crate::nearest;

/// What a template reads.
pub(super) struct Names {
    pub(super) uses: BTreeSet<Var>,
    pub(super) vars: BTreeSet<String>,
    pub(super) passwords: BTreeSet<String>,
}

/// The names at the top.
const ROOTS: [&str; 7] = ["client", "machine", "server", "vars", "password", "boot", "install"];
/// The functions of minijinja that are there.
const FUNCTIONS: [&str; 3] = ["range", "dict", "namespace"];
/// `machine.NAME`, and the variable that stands in when the config does not say it.
pub(super) const MACHINE: [(&str, Option<Var>); 5] = [
    ("name", Some(Var::Mac)),
    ("mac", Some(Var::Mac)),
    ("uuid", Some(Var::Uuid)),
    ("serial", Some(Var::Serial)),
    ("address", Some(Var::Ip)),
];
/// `server.NAME`.
pub(super) const SERVER: [&str; 2] = ["ip", "url"];
/// `install.NAME`.
pub(super) const INSTALL: [&str; 2] = ["url", "done"];
/// `boot.NAME`.
pub(super) const BOOT: [&str; 1] = ["name"];

/// A variable's key below `client`: templates cannot have dashes in names.
pub(super) fn key(var: Var) -> String {
    var.name().replace('-', "_")
}

/// Sorts the dotted names of a template into what it reads, or says which one is wrong.
pub(super) fn check(names: &HashSet<String>, language: Language, text: &str) -> Result<Names, TemplateError> {
    let mut found = Names { uses: BTreeSet::new(), vars: BTreeSet::new(), passwords: BTreeSet::new() };
    // In order, so that the same text always gives the same error.
    let sorted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    for name in sorted {
        let (root, rest) = name.split_once('.').unwrap_or((name, ""));
        let attribute = rest.split('.').next().unwrap_or_default();
        match root {
            "client" if attribute.is_empty() => {
                let message = "`client` is used as a whole: name what is read, as client.serial, so that machines \
                               can be asked for it";
                return Err(wrong(name, message.to_owned(), None, text));
            }
            "client" => match Var::all().find(|&var| key(var) == attribute) {
                Some(var) => {
                    found.uses.insert(var);
                }
                None => return Err(unknown(root, attribute, Var::all().map(key).collect(), text)),
            },
            "machine" if attribute.is_empty() => {
                found.uses.extend(MACHINE.iter().filter_map(|&(_, var)| var));
            }
            "machine" => match MACHINE.iter().find(|(known, _)| *known == attribute) {
                Some(&(_, var)) => found.uses.extend(var),
                None => {
                    let known = MACHINE.iter().map(|&(known, _)| known.to_owned()).collect();
                    return Err(unknown(root, attribute, known, text));
                }
            },
            "server" if attribute.is_empty() || SERVER.contains(&attribute) => {}
            "server" => return Err(unknown(root, attribute, SERVER.map(str::to_owned).into(), text)),
            "boot" if attribute.is_empty() || BOOT.contains(&attribute) => {}
            "boot" => return Err(unknown(root, attribute, BOOT.map(str::to_owned).into(), text)),
            "install" if !language.is_of_answers() => {
                let message = "`install` is for the answers of an installer";
                return Err(wrong(name, message.to_owned(), None, text));
            }
            "install" if INSTALL.contains(&attribute) => {}
            "install" => return Err(unknown(root, attribute, INSTALL.map(str::to_owned).into(), text)),
            "password" if attribute.is_empty() => {
                let message = "`password` is used as a whole: name the one that is meant, as password.root";
                return Err(wrong(name, message.to_owned(), None, text));
            }
            "password" if !language.shows_passwords() => {
                let message = "a URL is no place for a password's hash: others keep URLs in their logs";
                let fix = "insert it into `cmdline` or a script";
                return Err(wrong(name, message.to_owned(), Some(fix.to_owned()), text));
            }
            "password" => {
                found.passwords.insert(attribute.to_owned());
            }
            "vars" if attribute.is_empty() => {}
            "vars" => {
                found.vars.insert(attribute.to_owned());
            }
            _ if FUNCTIONS.contains(&root) => {}
            _ => {
                let near = nearest(root, ROOTS);
                let fix = near.map_or(format!("templates see {}", ROOTS.join(", ")), did_you_mean);
                return Err(wrong(name, format!("`{root}` is not known"), Some(fix), text));
            }
        }
    }
    Ok(found)
}

fn unknown(root: &str, attribute: &str, known: Vec<String>, text: &str) -> TemplateError {
    // `client.board-serial` is `client.board` minus `serial` to a template.
    let dashed = known
        .iter()
        .map(String::as_str)
        .find(|known| known.strip_prefix(attribute).is_some_and(|rest| rest.starts_with('_')));
    let near = dashed.or_else(|| nearest(attribute, known.iter().map(String::as_str)));
    let fix = near
        .map(|near| did_you_mean(&format!("{root}.{near}")))
        .unwrap_or_else(|| format!("`{root}` has {}", known.join(", ")));
    let name = format!("{root}.{attribute}");
    let message = format!("`{name}` is not known");
    wrong(&name, message, Some(fix), text)
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// An error that points at the first place of a name in the text, or at all of it when blanks hide the name.
fn wrong(name: &str, message: String, fix: Option<String>, text: &str) -> TemplateError {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let span = text
        .match_indices(name)
        .map(|(at, found)| at..at + found.len())
        .find(|span| {
            !text[..span.start].ends_with(is_part)
                && !text[span.end..].starts_with(|c| is_part(c) && c != '.')
        })
        .unwrap_or(0..text.len());
    TemplateError { message, span, fix }
}
