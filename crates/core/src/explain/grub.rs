//! What GRUB does with a config: its words, and the commands that boot.

/// What a config comes to without a person at the keyboard, or with one who picks an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A kernel with its initial file systems, by GRUB's names for them.
    Linux(Vec<String>),
    /// Another program.
    Program(String),
    /// Another config.
    Config(String),
    /// A program of the machine's disk, else back to the firmware.
    Disk,
    /// Back to the firmware.
    Exits,
    /// It cannot be told.
    Lost,
}

/// An entry of a menu.
#[derive(Clone, Debug, Default)]
struct Entry {
    commands: Vec<Vec<String>>,
}

/// Configs are bounded, and so is what is read of one.
const COMMANDS_MAX: usize = 4096;

/// Follows a config. `pick` says by the text of an entry's command which one is picked; without, the default's.
pub fn walk(config: &str, pick: Option<&str>) -> End {
    let mut outside: Vec<Vec<String>> = Vec::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut inside = false;
    let mut default = 0;
    for command in commands(config) {
        let first = command.first().map_or("", String::as_str);
        match first {
            "menuentry" => {
                inside = true;
                entries.push(Entry::default());
            }
            "}" => inside = false,
            "set" if !inside => {
                let value = command.get(1).and_then(|word| word.strip_prefix("default="));
                default = value.and_then(|value| value.parse().ok()).unwrap_or(default);
            }
            _ if inside => {
                if let Some(entry) = entries.last_mut() {
                    entry.commands.push(command);
                }
            }
            _ => outside.push(command),
        }
    }
    if entries.is_empty() {
        return follow(&outside);
    }
    let picked = pick.and_then(|pick| entries.iter().position(|entry| entry.leads_to(pick)));
    entries.get(picked.unwrap_or(default)).map_or(End::Lost, |entry| follow(&entry.commands))
}

impl Entry {
    /// Whether it is the entry for a boot of this name.
    fn leads_to(&self, boot: &str) -> bool {
        let ending = format!("/{}{boot}", crate::boot::dialect::grub::ENTRY_PREFIX);
        self.commands.iter().flatten().any(|word| word.ends_with(&ending))
    }
}

/// What these commands boot, when none of them fails.
fn follow(commands: &[Vec<String>]) -> End {
    let mut loaded: Option<End> = None;
    let mut on_disk = false;
    for command in commands {
        let words = command.iter().map(String::as_str).skip_while(|word| *word == "if").collect::<Vec<_>>();
        let Some((&name, arguments)) = words.split_first() else { continue };
        let places = |count| arguments.iter().take(count).map(|&place| place.to_owned());
        match name {
            "linux" | "linuxefi" => loaded = Some(End::Linux(places(1).collect())),
            "initrd" | "initrdefi" => {
                if let Some(End::Linux(files)) = &mut loaded {
                    files.extend(places(arguments.len()));
                }
            }
            "search" => on_disk = true,
            "chainloader" if on_disk => loaded = Some(End::Disk),
            "chainloader" => loaded = places(1).next().map(End::Program),
            "configfile" => return places(1).next().map_or(End::Lost, End::Config),
            "boot" => return loaded.unwrap_or(End::Lost),
            "exit" => return End::Exits,
            _ => {}
        }
    }
    // GRUB boots what an entry has loaded.
    loaded.unwrap_or(End::Lost)
}

/// The commands of a config as words, as far as GRUB's quoting goes (script/yylex.l); variables are not replaced.
pub fn commands(config: &str) -> Vec<Vec<String>> {
    let mut commands: Vec<Vec<String>> = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut chars = config.chars().peekable();
    let mut quote: Option<char> = None;
    while let Some(c) = chars.next() {
        if commands.len() > COMMANDS_MAX {
            break;
        }
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => match chars.next() {
                Some('\n') | None => {}
                Some(next) => word.get_or_insert_default().push(next),
            },
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => while chars.next_if(|&c| c != '\n').is_some() {},
            (None, c) if c.is_whitespace() || c == ';' => {
                let last = commands.last_mut();
                last.into_iter().for_each(|command| command.extend(word.take()));
                if !matches!(c, ' ' | '\t') {
                    commands.push(Vec::new());
                }
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    commands.last_mut().into_iter().for_each(|command| command.extend(word.take()));
    commands.retain(|command| !command.is_empty());
    commands
}
