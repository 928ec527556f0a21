//! What a config of GRUB starts (script/yylex.l for its words), as far as configs for network boots go: variables are not
//! replaced, and each condition counts as met.

/// What a config comes to when nobody is at the keyboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// A kernel, by GRUB's names for files.
    Linux { kernel: String, initrds: Vec<String>, args: Vec<String> },
    /// Another program.
    Program(String),
    /// Another config.
    Config(String),
    /// A program of the machine's own disk.
    Disk,
    /// Back to the firmware; the last thing that was said on the screen.
    Leaves { said: Option<String> },
    /// It starts nothing.
    Nothing,
}

/// Configs are bounded, and so is what is read of one.
const COMMANDS_MAX: usize = 4096;

type Command = Vec<String>;

/// The default entry, which is the first without `set default=N`, else what stands outside of entries.
pub(super) fn start(config: &str) -> Start {
    let (mut outside, mut entries) = (Vec::new(), Vec::<Vec<Command>>::new());
    let (mut inside, mut default) = (false, 0);
    for command in commands(config) {
        match (command[0].as_str(), entries.last_mut().filter(|_| inside)) {
            ("menuentry", _) => {
                inside = true;
                entries.push(Vec::new());
            }
            ("}", _) => inside = false,
            (_, Some(entry)) => entry.push(command),
            ("set", None) => {
                let value = command.get(1).and_then(|word| word.strip_prefix("default="));
                default = value.and_then(|value| value.parse().ok()).unwrap_or(default);
            }
            (_, None) => outside.push(command),
        }
    }
    if entries.is_empty() {
        return follow(taken(outside));
    }
    entries.into_iter().nth(default).map_or(Start::Nothing, |entry| follow(taken(entry)))
}

/// Without the branches that are not taken, and without the words around those that are.
fn taken(commands: Vec<Command>) -> Vec<Command> {
    let mut taken = Vec::new();
    // How many `if` are open within a branch that is not taken.
    let mut skipped: Option<usize> = None;
    for mut command in commands {
        match (command[0].as_str(), &mut skipped) {
            ("if", Some(open)) => *open += 1,
            ("fi", Some(0)) => skipped = None,
            ("fi", Some(open)) => *open -= 1,
            (_, Some(_)) => {}
            ("else" | "elif", None) => skipped = Some(0),
            (_, None) => {
                let words = command.iter();
                let around = words.take_while(|word| matches!(word.as_str(), "if" | "then" | "do" | "fi"));
                let around = around.count();
                command.drain(..around);
                if !command.is_empty() {
                    taken.push(command);
                }
            }
        }
    }
    taken
}

/// What these commands start when none of them fails.
fn follow(commands: Vec<Command>) -> Start {
    let mut loaded = Start::Nothing;
    let (mut said, mut on_disk) = (None, false);
    for command in commands {
        let mut words = command.into_iter();
        match (words.next().unwrap_or_default().as_str(), words.next()) {
            ("linux" | "linuxefi" | "linux16", Some(kernel)) => {
                loaded = Start::Linux { kernel, initrds: Vec::new(), args: words.collect() };
            }
            ("initrd" | "initrdefi" | "initrd16", Some(first)) => {
                if let Start::Linux { initrds, .. } = &mut loaded {
                    initrds.extend(std::iter::once(first).chain(words));
                }
            }
            ("search", _) => on_disk = true,
            ("chainloader", Some(_)) if on_disk => loaded = Start::Disk,
            ("chainloader", Some(program)) => loaded = Start::Program(program),
            ("configfile", Some(config)) => return Start::Config(config),
            // The first line tells why, and those after it what comes next.
            ("echo", Some(text)) => drop(said.get_or_insert(text)),
            ("boot", _) => return loaded,
            ("exit", _) => return Start::Leaves { said },
            _ => {}
        }
    }
    // GRUB boots what an entry has loaded.
    loaded
}

/// The commands as words; none is empty.
fn commands(config: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = config.chars();
    while let Some(c) = chars.next() {
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
            (None, '#') if word.is_none() => {
                if chars.by_ref().all(|c| c != '\n') {
                    break;
                }
                commands.push(Vec::new());
            }
            (None, c) if c.is_whitespace() || c == ';' => {
                commands.last_mut().into_iter().for_each(|command| command.extend(word.take()));
                if !matches!(c, ' ' | '\t') {
                    commands.push(Vec::new());
                }
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
        if commands.len() > COMMANDS_MAX {
            break;
        }
    }
    commands.last_mut().into_iter().for_each(|command| command.extend(word.take()));
    commands.retain(|command| !command.is_empty());
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linux(kernel: &str, initrds: &[&str], args: &[&str]) -> Start {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Start::Linux { kernel: kernel.to_owned(), initrds: owned(initrds), args: owned(args) }
    }

    #[test]
    fn the_default_entry_is_the_first_or_the_one_that_is_set() {
        let entries = "menuentry 'a' {\n linux /a\n}\nmenuentry \"b\" --id x {\n linux /b 'root=x y' q\n initrd /i /j\n}\n";
        assert_eq!(start(entries), linux("/a", &[], &[]));
        let second = linux("/b", &["/i", "/j"], &["root=x y", "q"]);
        assert_eq!(start(&format!("set default=\"1\"\n{entries}")), second);
        assert_eq!(start(&format!("set default=7\n{entries}")), Start::Nothing);
        assert_eq!(start("# nothing; linux /a\nset x=y"), Start::Nothing);
        assert_eq!(start("linux /a \\\n quiet # why\ninitrd /i"), linux("/a", &["/i"], &["quiet"]));
    }

    #[test]
    fn conditions_are_met() {
        let config = "if [ x = y ]; then linux /a; if z; then\n initrd /i\nelse initrd /j\nfi; elif z; then\nlinux /b\nelse\n\
                      if z; then linux /c; fi\nfi\nboot\nlinux /d\n";
        assert_eq!(start(config), linux("/a", &["/i"], &[]));
        let config = "for file in /x /y; do\nif search --file $file; then\nif chainloader $file; then\nboot\nfi\nfi\ndone\nexit 1\n";
        assert_eq!(start(config), Start::Disk);
    }

    #[test]
    fn a_config_leads_to_another_or_out_of_grub() {
        let menu = "set timeout=1\nmenuentry 'a' {\nconfigfile '(tftp,h)/c'\n}\n";
        assert_eq!(start(menu), Start::Config("(tftp,h)/c".to_owned()));
        assert_eq!(start("chainloader (http,h)/x.efi\nboot"), Start::Program("(http,h)/x.efi".to_owned()));
        let said = Some("no such disk".to_owned());
        assert_eq!(start("echo 'no such disk'\necho later\nsleep 1\nexit 1\n"), Start::Leaves { said });
        assert_eq!(start("exit"), Start::Leaves { said: None });
    }
}
