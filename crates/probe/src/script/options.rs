//! Options of commands (core/getopt.c, core/parseopt.c).

/// Whether an option is followed by a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Value,
    Nothing,
}

/// Options of one command: long name, letter, and what follows.
type Known = &'static [(&'static str, char, Takes)];

const V: Takes = Takes::Value;
const N: Takes = Takes::Nothing;

const IMAGE: Known = &[("name", 'n', V), ("timeout", 't', V), ("autofree", 'a', N)];
const EXEC: Known = &[("name", 'n', V), ("timeout", 't', V), ("autofree", 'a', N), ("replace", 'r', N)];
const SAN: Known = &[
    ("drive", 'd', V),
    ("no-describe", 'n', N),
    ("keep", 'k', N),
    ("filename", 'f', V),
    ("extra", 'e', V),
    ("label", 'l', V),
    ("uuid", 'u', V),
];
const CHOOSE: Known =
    &[("menu", 'm', V), ("default", 'd', V), ("timeout", 't', V), ("retimeout", 'r', V), ("keep", 'k', N)];
const ITEM: Known = &[
    ("menu", 'm', V),
    ("form", 'f', V),
    ("key", 'k', V),
    ("default", 'd', N),
    ("secret", 's', N),
    ("gap", 'g', N),
];
const CONSOLE: Known = &[
    ("x", 'x', V),
    ("y", 'y', V),
    ("left", 'l', V),
    ("right", 'r', V),
    ("top", 't', V),
    ("bottom", 'b', V),
    ("depth", 'd', V),
    ("picture", 'p', V),
    ("keep", 'k', N),
];

fn known(command: &str) -> Known {
    match command {
        "imgfetch" | "module" | "initrd" | "kernel" | "imgselect" | "imgload" | "shim" | "imgextract" => {
            IMAGE
        }
        "chain" | "boot" | "imgexec" => EXEC,
        "sanboot" | "sanhook" => SAN,
        "sanunhook" => &[("drive", 'd', V)],
        "choose" | "present" => CHOOSE,
        "item" => ITEM,
        "menu" | "form" => &[("name", 'n', V), ("delete", 'd', N)],
        "prompt" => &[("key", 'k', V), ("timeout", 't', V)],
        "dhcp" | "ifconf" => &[("configurator", 'c', V), ("timeout", 't', V)],
        "iflinkwait" => &[("timeout", 't', V)],
        "ping" => &[("size", 's', V), ("timeout", 't', V), ("count", 'c', V), ("quiet", 'q', N)],
        "params" => &[("name", 'n', V), ("delete", 'd', N)],
        "param" => &[("params", 'p', V), ("header", 'H', N)],
        "echo" => &[("n", 'n', N)],
        "reboot" => &[("warm", 'w', N)],
        "cpuid" => &[("ext", 'e', N), ("ecx", 'c', N)],
        "imgtrust" => &[("allow", 'a', N), ("permanent", 'p', N)],
        "imgverify" => &[("signer", 's', V), ("timeout", 't', V), ("keep", 'k', N)],
        "vcreate" => &[("tag", 't', V), ("priority", 'p', V)],
        "colour" => &[("basic", 'b', V), ("rgb", 'r', V)],
        "cpair" => &[("foreground", 'f', V), ("background", 'b', V)],
        "console" => CONSOLE,
        _ => &[],
    }
}

/// The options that are given, and the other words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    options: Vec<(&'static str, String)>,
    pub(super) words: Vec<String>,
}

impl Parsed {
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(known, _)| *known == name)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// Splits words into options and the rest; options end at the first other word, so that arguments of a kernel may begin
/// with a dash. The error is the word that the command does not know.
pub(super) fn parse(command: &str, words: &[String]) -> Result<Parsed, String> {
    let known = known(command);
    let mut parsed = Parsed::default();
    let mut words = words.iter();
    while let Some(word) = words.clone().next() {
        let (name, mut value) = match (word.strip_prefix("--"), word.strip_prefix('-')) {
            (Some(""), _) => {
                words.next();
                break;
            }
            (Some(long), _) => {
                let (long, value) =
                    long.split_once('=').map_or((long, None), |(long, value)| (long, Some(value)));
                (known.iter().find(|(name, ..)| *name == long), value.map(str::to_owned))
            }
            (None, Some(short)) if !short.is_empty() => {
                let mut chars = short.chars();
                let letter = chars.next();
                let rest = chars.as_str();
                let value = if rest.is_empty() { None } else { Some(rest.to_owned()) };
                (known.iter().find(|(_, short, _)| Some(*short) == letter), value)
            }
            _ => break,
        };
        words.next();
        let Some((name, _, takes)) = name else { return Err(word.clone()) };
        match (takes, &value) {
            (Takes::Value, None) => value = Some(words.next().ok_or_else(|| word.clone())?.clone()),
            (Takes::Nothing, Some(_)) => return Err(word.clone()),
            _ => {}
        }
        parsed.options.push((name, value.unwrap_or_default()));
    }
    parsed.words.extend(words.cloned());
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_stand_before_other_words() {
        let parsed = parse("initrd", &words("--name a.img --timeout=5 http://x/ --not-mine")).unwrap();
        assert_eq!((parsed.value("name"), parsed.value("timeout")), (Some("a.img"), Some("5")));
        assert_eq!(parsed.words, ["http://x/", "--not-mine"]);
        let parsed = parse("choose", &words("-d here -t5 x")).unwrap();
        assert_eq!(
            (parsed.value("default"), parsed.value("timeout"), parsed.words.len()),
            (Some("here"), Some("5"), 1)
        );
        for (command, wrong) in
            [("chain", "--nonsense x"), ("chain", "--replace=x y"), ("initrd", "--name"), ("goto", "-x")]
        {
            assert!(parse(command, &words(wrong)).is_err(), "{command} {wrong}");
        }
    }
}
