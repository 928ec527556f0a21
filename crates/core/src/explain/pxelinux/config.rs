//! A config of pxelinux, as far as it says what happens without a person, or with one who picks an entry
//! (syslinux, com32/elflink/ldlinux/readconfig.c).

/// What a config comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A kernel and its initial file systems, in the order of their download.
    Files(Vec<String>),
    /// Another config.
    Config(String),
    /// Back to the firmware.
    Local,
    /// A person has to choose, or a module runs that only it knows.
    Prompt,
}

/// What stands under a label.
#[derive(Clone, Debug, Default)]
struct Label {
    name: String,
    kernel: Option<String>,
    initrds: Vec<String>,
    config: Option<String>,
    is_local: bool,
    is_menu_default: bool,
}

#[derive(Debug, Default)]
struct Config {
    default: Option<String>,
    on_timeout: Option<String>,
    has_menu: bool,
    prompts: bool,
    /// `TIMEOUT`; 0 waits for ever.
    timeout: u64,
    labels: Vec<Label>,
}

/// The name in an `INCLUDE` line.
pub fn included(line: &str) -> Option<&str> {
    let (keyword, rest) = directive(line)?;
    keyword.eq_ignore_ascii_case("include").then(|| rest.split_whitespace().next())?
}

/// Follows a config. `pick` names the boot of an entry that somebody picks; without, the default counts.
pub fn walk(text: &str, pick: Option<&str>) -> End {
    let config = read(text);
    let by_name = |name: &str| config.labels.iter().find(|label| label.name == name);
    let waits_for_ever = (config.has_menu || config.prompts) && config.timeout == 0;
    let picked = pick.and_then(|pick| config.labels.iter().find(|label| label.leads_to(pick)));
    if let Some(label) = picked.filter(|_| config.has_menu || config.prompts) {
        return label.end();
    }
    if waits_for_ever {
        return End::Prompt;
    }
    let chosen = match config.has_menu {
        true => config.on_timeout.as_deref().and_then(by_name).or_else(|| {
            let menu_default = config.labels.iter().find(|label| label.is_menu_default);
            menu_default.or_else(|| config.default.as_deref().and_then(by_name))
        }),
        false => match config.default.as_deref() {
            // A name that is no label is a kernel's.
            Some(name) => match by_name(name) {
                Some(label) => Some(label),
                None => return of_kernel(name, Vec::new()),
            },
            None => None,
        },
    };
    chosen.or(config.labels.first()).map_or(End::Prompt, Label::end)
}

impl Label {
    /// Whether it stands for a boot: by its name, or by the name of its config.
    fn leads_to(&self, boot: &str) -> bool {
        let by_config = || {
            let ending = self.config.as_deref()?.rsplit_once("boot-")?.1;
            Some(ending == boot)
        };
        self.name == boot || by_config() == Some(true)
    }

    fn end(&self) -> End {
        match (&self.config, &self.kernel) {
            (Some(config), _) => End::Config(config.clone()),
            (None, Some(kernel)) => of_kernel(kernel, self.initrds.clone()),
            (None, None) if self.is_local => End::Local,
            (None, None) => of_kernel(&self.name, self.initrds.clone()),
        }
    }
}

/// Modules of syslinux, and what is not Linux, do what they do.
fn of_kernel(kernel: &str, initrds: Vec<String>) -> End {
    match kernel.to_ascii_lowercase().ends_with(".c32") {
        true => End::Prompt,
        false => End::Files([kernel.to_owned()].into_iter().chain(initrds).collect()),
    }
}

fn read(text: &str) -> Config {
    let mut config = Config::default();
    for (keyword, rest) in text.lines().filter_map(directive) {
        let first = rest.split_whitespace().next().map(str::to_owned);
        let keyword = keyword.to_ascii_lowercase();
        match (keyword.as_str(), config.labels.last_mut()) {
            ("default", _) => config.default = config.default.or(first),
            ("ontimeout", _) => config.on_timeout = first,
            ("ui", _) => config.has_menu = true,
            ("prompt", _) => config.prompts = rest != "0",
            ("timeout", _) => config.timeout = rest.parse().unwrap_or(0),
            ("label", _) => {
                config.labels.push(Label { name: first.unwrap_or_default(), ..Label::default() });
            }
            ("kernel" | "linux", Some(label)) => label.kernel = first,
            ("config", Some(label)) => label.config = first,
            ("localboot", Some(label)) => label.is_local = true,
            ("menu", Some(label)) if rest.eq_ignore_ascii_case("default") => label.is_menu_default = true,
            ("initrd", Some(label)) => label.initrds.extend(rest.split(',').map(str::to_owned)),
            ("append", Some(label)) => {
                let names = rest.split_whitespace().filter_map(|word| word.strip_prefix("initrd="));
                label.initrds.extend(names.flat_map(|names| names.split(',')).map(str::to_owned));
            }
            _ => {}
        }
    }
    config
}

/// The keyword of a line and what follows it.
fn directive(line: &str) -> Option<(&str, &str)> {
    let (keyword, rest) = line.trim().split_once(char::is_whitespace)?;
    Some((keyword, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> End {
        End::Files(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn finds_the_files_of_the_default_label() {
        let config = "DEFAULT lin\nPROMPT 0\nLABEL other\n KERNEL other.c32\nLABEL lin\n LINUX debian/linux\n INITRD debian/initrd.gz\n APPEND quiet\n";
        assert_eq!(walk(config, None), files(&["debian/linux", "debian/initrd.gz"]));
        assert_eq!(walk("label a\nkernel k\nappend initrd=x,y z\n", None), files(&["k", "x", "y"]));
        assert_eq!(walk("DEFAULT vmlinuz\n", None), files(&["vmlinuz"]));
        assert_eq!(walk("DEFAULT a\nLABEL a\nLOCALBOOT 0\n", None), End::Local);
        assert_eq!(walk("DEFAULT vesamenu.c32\nTIMEOUT 100\nLABEL a\nKERNEL k\n", None), End::Prompt);
    }

    #[test]
    fn a_menu_waits_or_takes_its_default_or_what_is_picked() {
        let menu =
            "UI menu.c32\nLABEL a\nKERNEL k\nLABEL b\n MENU DEFAULT\n CONFIG pxelinux.cfg/boot-rescue\n";
        assert_eq!(walk(menu, None), End::Prompt);
        let timed = format!("TIMEOUT 50\n{menu}");
        assert_eq!(walk(&timed, None), End::Config("pxelinux.cfg/boot-rescue".into()));
        assert_eq!(walk(&timed, Some("a")), files(&["k"]));
        assert_eq!(walk(menu, Some("rescue")), End::Config("pxelinux.cfg/boot-rescue".into()));
        assert_eq!(walk(&format!("TIMEOUT 50\nONTIMEOUT a\n{menu}"), None), files(&["k"]));
        assert_eq!(walk("PROMPT 1\nTIMEOUT 100\nDEFAULT a\nLABEL a\nLOCALBOOT 0\n", None), End::Local);
    }

    #[test]
    fn what_a_line_includes() {
        assert_eq!(included("  INCLUDE pxelinux.cfg/include/append  "), Some("pxelinux.cfg/include/append"));
        assert_eq!(included("include x y"), Some("x"));
        assert_eq!(included("INCLUDED x"), None);
        assert_eq!(included("INCLUDE"), None);
    }
}
