//! What iPXE does with a script when every fetch works: the files it asks for, and how it ends.
//!
//! A model of the client, written from iPXE's documented behaviour, so that `explain` can walk any script: ours,
//! and those of users. What a script branches on but nobody knows beforehand (a key, a download that fails) is
//! taken the way of success.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::percent::encode;

/// Commands that a walk takes before it gives up: far above any real script, and an end for loops.
const COMMANDS_MAX: usize = 2_000;
/// Rounds of `${}` expansion: iPXE expands until nothing is left.
const EXPANSIONS_MAX: usize = 16;
/// Bytes of a word when everything is expanded: no real URL is longer, and a setting that doubles itself in a
/// loop stays small.
const WORD_BYTES_MAX: usize = 4096;

/// How a script ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It starts what it fetched.
    Boots,
    /// It goes on with another script or program.
    Chains(String),
    /// It starts a disk: this URI, or a local drive.
    Disk(String),
    /// It leaves iPXE with this status.
    Exits(String),
    /// It stops at a shell, a restart or a power-off.
    Stops(String),
    /// It cannot be followed, and why.
    Lost(String),
}

/// What a script does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// URLs of images, in order, without the one that [`End::Chains`] names.
    pub fetches: Vec<String>,
    /// URLs of shims, which only Secure Boot makes it fetch, before what it starts.
    pub shims: Vec<String>,
    /// URIs of disks that it attaches before what it starts.
    pub disks: Vec<String>,
    /// How it ends.
    pub end: End,
}

/// Walks `script`, fetched from `url`, with the machine's settings (`mac`, `net0/mac`, `serial`, ...). Somebody
/// at the screen picks the item `pick` where a menu has it.
pub fn walk(script: &str, url: &str, settings: &BTreeMap<String, String>, pick: Option<&str>) -> Walk {
    let lines = logical_lines(script);
    if !matches!(lines.first().map(|line| line.trim_end()), Some("#!ipxe" | "#!gpxe")) {
        return Walk {
            fetches: Vec::new(),
            shims: Vec::new(),
            disks: Vec::new(),
            end: End::Lost("its first line is not #!ipxe".into()),
        };
    }
    let mut walker = Walker {
        settings: settings.clone(),
        url,
        pick,
        fetches: Vec::new(),
        shims: Vec::new(),
        disks: Vec::new(),
        images: BTreeSet::new(),
        items: Vec::new(),
    };
    let end = walker.run(&lines);
    Walk { fetches: walker.fetches, shims: walker.shims, disks: walker.disks, end }
}

/// Lines with continuations joined.
fn logical_lines(script: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut continued = false;
    for line in script.lines() {
        let line = line.trim_end_matches('\r');
        let (text, goes_on) = line.strip_suffix('\\').map_or((line, false), |text| (text, true));
        match lines.last_mut() {
            Some(last) if continued => last.push_str(text),
            _ => lines.push(text.to_owned()),
        }
        continued = goes_on;
    }
    lines
}

struct Walker<'a> {
    settings: BTreeMap<String, String>,
    url: &'a str,
    pick: Option<&'a str>,
    fetches: Vec<String>,
    shims: Vec<String>,
    disks: Vec<String>,
    /// What the fetched images are called.
    images: BTreeSet<String>,
    items: Vec<String>,
}

/// What a command leaves behind.
enum Done {
    Succeeded,
    Failed,
    Goto(String),
    End(End),
}

impl Walker<'_> {
    fn run(&mut self, lines: &[String]) -> End {
        let labels: HashMap<&str, usize> = lines
            .iter()
            .enumerate()
            .filter_map(|(at, line)| Some((line.strip_prefix(':')?.split_whitespace().next()?, at)))
            .collect();
        let mut at = 1;
        for _ in 0..COMMANDS_MAX {
            let Some(line) = lines.get(at) else { return End::Exits(String::new()) };
            at += 1;
            match self.line(line) {
                Done::Succeeded => {}
                Done::Failed => return End::Lost(format!("`{}` fails", line.trim())),
                Done::End(end) => return end,
                Done::Goto(label) => match labels.get(label.as_str()) {
                    Some(&target) => at = target + 1,
                    None => return End::Lost(format!("there is no label {label}")),
                },
            }
        }
        End::Lost("it loops".into())
    }

    /// A line is commands between operators; what follows `||` runs only after a failure.
    fn line(&mut self, line: &str) -> Done {
        let tokens: Vec<&str> = line.split_whitespace().take_while(|token| !token.starts_with('#')).collect();
        if tokens.first().is_none_or(|token| token.starts_with(':')) {
            return Done::Succeeded;
        }
        let mut succeeded = true;
        let mut operator = ";";
        for part in tokens.split_inclusive(|token| is_operator(token)) {
            let (command, next) = match part.split_last() {
                Some((last, rest)) if is_operator(last) => (rest, *last),
                _ => (part, ";"),
            };
            let runs = match operator {
                "||" => !succeeded,
                "&&" => succeeded,
                _ => true,
            };
            operator = next;
            if !runs {
                continue;
            }
            match self.command(command) {
                Done::Succeeded => succeeded = true,
                Done::Failed => succeeded = false,
                jump => return jump,
            }
        }
        // Nothing behind a last `||` is a command that succeeds: the usual way to ignore a failure.
        outcome(succeeded || tokens.last() == Some(&"||"))
    }

    fn command(&mut self, tokens: &[&str]) -> Done {
        let words: Vec<String> = tokens.iter().map(|token| self.expand(token)).collect();
        let Some((name, words)) = words.split_first() else { return Done::Succeeded };
        match name.as_str() {
            "chain" | "boot" | "imgexec" => self.exec(words),
            "kernel" | "initrd" | "module" | "imgfetch" | "imgselect" | "imgload" => {
                if let Some(what) = operands(words).next().filter(|what| !self.images.contains(*what)) {
                    let url = self.absolute(what);
                    self.images.extend(image_names(&url, words));
                    self.fetches.push(url);
                }
                Done::Succeeded
            }
            "shim" => {
                self.shims.extend(operands(words).next().map(|what| self.absolute(what)));
                Done::Succeeded
            }
            "sanhook" => {
                self.disks.extend(operands(words).next().map(ToOwned::to_owned));
                Done::Succeeded
            }
            "sanboot" => {
                Done::End(End::Disk(operands(words).next().map_or_else(|| drive(words), ToOwned::to_owned)))
            }
            "exit" => Done::End(End::Exits(words.first().cloned().unwrap_or_default())),
            "shell" | "reboot" | "poweroff" | "autoboot" | "config" => Done::End(End::Stops(name.clone())),
            "goto" => words.first().map_or(Done::Failed, |label| Done::Goto(label.clone())),
            "isset" => outcome(words.first().is_some_and(|value| !value.is_empty())),
            "iseq" => outcome(words.len() == 2 && words[0] == words[1]),
            "set" => self.set(words),
            "clear" => {
                words.first().map(|key| self.settings.remove(setting_name(key)));
                Done::Succeeded
            }
            "menu" => {
                self.items.clear();
                Done::Succeeded
            }
            "item" => {
                self.items.extend(operands(words).next().map(ToOwned::to_owned));
                Done::Succeeded
            }
            "choose" => self.choose(words),
            // Nobody presses the key.
            "prompt" | "login" => Done::Failed,
            _ => Done::Succeeded,
        }
    }

    fn exec(&self, words: &[String]) -> Done {
        match operands(words).next() {
            Some(what) if !self.images.contains(what) => Done::End(End::Chains(self.absolute(what))),
            _ => Done::End(End::Boots),
        }
    }

    fn set(&mut self, words: &[String]) -> Done {
        if let Some((key, value)) = words.split_first() {
            let mut value = value.join(" ");
            value.truncate(value.floor_char_boundary(WORD_BYTES_MAX));
            self.settings.insert(setting_name(key).to_owned(), value);
        }
        Done::Succeeded
    }

    /// Without a pick the timeout takes the default; without one the first item is under the cursor.
    fn choose(&mut self, words: &[String]) -> Done {
        let picked = self.pick.filter(|pick| self.items.iter().any(|item| item == pick));
        let default = option_value(words, "--default").or_else(|| self.items.first().map(String::as_str));
        let (Some(choice), Some(key)) = (picked.or(default), operands(words).last()) else {
            return Done::Failed;
        };
        let choice = choice.to_owned();
        self.settings.insert(setting_name(key).to_owned(), choice);
        Done::Succeeded
    }

    fn expand(&self, token: &str) -> String {
        let mut text = token.to_owned();
        for _ in 0..EXPANSIONS_MAX {
            let Some(start) = text.find("${") else { break };
            let Some(len) = text[start..].find('}') else { break };
            let value = self.value(&text[start + 2..start + len]);
            text.replace_range(start..=start + len, &value);
            text.truncate(text.floor_char_boundary(WORD_BYTES_MAX));
        }
        text
    }

    fn value(&self, name: &str) -> String {
        let (name, kind) = name.split_once(':').unwrap_or((name, "string"));
        let value = self.settings.get(setting_name(name)).map_or("", String::as_str);
        match kind {
            "uristring" => encode(value),
            "hexhyp" => value.replace(':', "-"),
            "hexraw" => value.replace(':', ""),
            _ => value.to_owned(),
        }
    }

    /// Resolves against the script's own URL, as iPXE does.
    fn absolute(&self, reference: &str) -> String {
        if reference.contains("://") {
            return reference.to_owned();
        }
        let root = self.url.find("://").and_then(|at| Some(at + 3 + self.url[at + 3..].find('/')?));
        match (reference.strip_prefix('/'), root) {
            (Some(path), Some(root)) => format!("{}/{path}", &self.url[..root]),
            _ => {
                let path = self.url.split(['?', '#']).next().unwrap_or_default();
                format!("{}/{reference}", path.rsplit_once('/').map_or(path, |(folder, _)| folder))
            }
        }
    }
}

fn outcome(yes: bool) -> Done {
    if yes { Done::Succeeded } else { Done::Failed }
}

fn is_operator(token: &str) -> bool {
    matches!(token, "||" | "&&" | ";")
}

/// `netX/mac` and `net0/mac` are the interface that boots, which is what `mac` means too.
fn setting_name(name: &str) -> &str {
    let name = name.split(':').next().unwrap_or(name);
    name.strip_prefix("netX/").or_else(|| name.strip_prefix("net0/")).unwrap_or(name)
}

/// Options of iPXE's commands that take a value as the next word.
const WITH_VALUE: [&str; 14] = [
    "--name",
    "-n",
    "--timeout",
    "-t",
    "--default",
    "-d",
    "--drive",
    "--filename",
    "--key",
    "-k",
    "--menu",
    "-m",
    "--label",
    "--uuid",
];

/// The words that are no options.
fn operands(words: &[String]) -> impl Iterator<Item = &str> {
    let mut skip = false;
    words.iter().map(String::as_str).filter(move |word| {
        if std::mem::take(&mut skip) {
            return false;
        }
        skip = WITH_VALUE.contains(word);
        !word.starts_with('-')
    })
}

fn option_value<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| word == name)?;
    words.get(at + 1).map(String::as_str)
}

/// An image is called by the last part of its URL, or as `--name` says.
fn image_names<'a>(url: &'a str, words: &'a [String]) -> impl Iterator<Item = String> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let given = option_value(words, "--name").or_else(|| option_value(words, "-n"));
    [path.rsplit('/').next(), given].into_iter().flatten().map(str::to_owned)
}

fn drive(words: &[String]) -> String {
    format!("drive {}", option_value(words, "--drive").unwrap_or("0x80"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://10.188.0.10/boot.ipxe";

    fn walked(script: &str) -> Walk {
        let settings = [("mac", "52:54:00:12:34:56"), ("serial", "A B&C"), ("platform", "pcbios")];
        walk(script, URL, &settings.map(|(k, v)| (k.to_owned(), v.to_owned())).into(), None)
    }

    #[test]
    fn files_in_order_and_the_end() {
        let walk = walked(
            "#!ipxe\nimgfree\nkernel http://h/k a=1 || goto failed\ninitrd --name i /i.gz\nboot || goto failed\n:failed\nexit 1\n",
        );
        assert_eq!(walk.fetches, ["http://h/k", "http://10.188.0.10/i.gz"]);
        assert_eq!(walk.end, End::Boots);
    }

    #[test]
    fn what_somebody_picks_counts_where_the_menu_has_it() {
        let script = "#!ipxe\nmenu M\nitem a A\nitem b B\nchoose --default a x || exit 9\nexit ${x}\n";
        let end = |pick| walk(script, URL, &BTreeMap::new(), pick).end;
        assert_eq!(end(Some("b")), End::Exits("b".into()));
        assert_eq!(end(Some("c")), End::Exits("a".into()));
        assert_eq!(end(None), End::Exits("a".into()));
    }

    #[test]
    fn settings_are_expanded_and_encoded() {
        let walk = walked(
            "#!ipxe\nchain --autofree script?mac=${netX/mac}&serial=${serial:uristring}&x=${nothing}\n",
        );
        assert_eq!(
            walk.end,
            End::Chains("http://10.188.0.10/script?mac=52:54:00:12:34:56&serial=A%20B%26C&x=".into())
        );
    }

    #[test]
    fn branches_menus_and_operators() {
        let script = "#!ipxe\niseq ${platform} efi && goto efi ||\nmenu Hello\nitem a First\nitem b Second\n\
                      choose --timeout 100 --default b pick || goto out\ngoto ${pick}\n:a\nexit 3\n:b\nsanboot --no-describe --drive 0x80\n:efi\nexit 1\n:out\n";
        assert_eq!(walked(script).end, End::Disk("drive 0x80".into()));
    }

    #[test]
    fn an_image_that_was_fetched_is_not_fetched_again() {
        let walk =
            walked("#!ipxe\nimgfetch --name k http://h/a/vmlinuz?x=/y\nimgselect vmlinuz\nboot k a=1\n");
        assert_eq!(walk.fetches, ["http://h/a/vmlinuz?x=/y"]);
        assert_eq!(walk.end, End::Boots);
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        assert_eq!(walked("hello").end, End::Lost("its first line is not #!ipxe".into()));
        assert_eq!(walked("#!ipxe\n:a\ngoto a\n").end, End::Lost("it loops".into()));
        assert_eq!(walked("#!ipxe\ngoto b\n").end, End::Lost("there is no label b".into()));
        assert_eq!(walked("#!ipxe\n").end, End::Exits(String::new()));
    }
}
