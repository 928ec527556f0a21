//! `bootlace passwd`, and its hashes beside those of the system's crypt(3), which Perl calls.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use bootlace_core::crypt::{Hash, Method, PHRASE_BYTES_MAX, Phrase, Salt, Setting};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

/// How many inputs of each method at its lowest cost, and at its default.
const LOWEST: usize = 1000;
const DEFAULT: usize = 20;

/// Reads lines of a password in hexadecimal digits and a setting, and prints what crypt(3) makes of them.
const PERL: &str =
    r#"while (<STDIN>) { chomp; my ($p, $s) = split / /; print crypt(pack("H*", $p), $s) // "", "\n" }"#;

/// A generator of inputs, the same at every run.
struct Inputs(u64);

impl Inputs {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    /// Mostly of the length of real ones, sometimes up to the longest; any bytes but NUL.
    fn password(&mut self) -> Vec<u8> {
        let length = match self.below(8) {
            0 => self.below(PHRASE_BYTES_MAX + 1),
            1 => self.below(4),
            _ => self.below(40),
        };
        (0..length).map(|_| 1 + self.below(255) as u8).collect()
    }

    fn salt(&mut self) -> [u8; 16] {
        [(); 16].map(|()| self.below(256) as u8)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What crypt(3) gives for each password and setting.
fn crypt(inputs: &[(Vec<u8>, String)]) -> Vec<String> {
    let mut command = Command::new("perl");
    command.args(["-e", PERL]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut perl = command.spawn().expect("perl is missing: sudo apt-get install perl-base");
    let lines: String =
        inputs.iter().map(|(password, setting)| format!("{} {setting}\n", hex(password))).collect();
    let mut input = perl.stdin.take().unwrap();
    let writer = thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = perl.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let made: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(made.len(), inputs.len());
    made
}

#[track_caller]
fn is_the_systems(method: Method) {
    let mut inputs = Inputs(0x6372_7970_7400 + method as u64);
    let lowest = method.rounds().map(|range| *range.start());
    let made: Vec<(Vec<u8>, String)> = (0..LOWEST + DEFAULT)
        .map(|number| {
            let rounds = if number < LOWEST { lowest } else { None };
            let setting = Setting::new(method, rounds, Salt::Random(inputs.salt())).unwrap();
            let password = inputs.password();
            let hash = Hash::of(Phrase::new(&password).unwrap(), &setting);
            (password, hash.to_string())
        })
        .collect();
    // A whole hash is a setting, too: so crypt(3) is asked when somebody logs in.
    for ((password, ours), theirs) in made.iter().zip(crypt(&made)) {
        assert_eq!(*ours, theirs, "{}", hex(password));
    }
}

#[test]
fn sha512_is_the_systems() {
    is_the_systems(Method::Sha512);
}

#[test]
fn sha256_is_the_systems() {
    is_the_systems(Method::Sha256);
}

#[test]
fn md5_is_the_systems() {
    is_the_systems(Method::Md5);
}

#[test]
fn yescrypt_is_the_systems() {
    is_the_systems(Method::Yescrypt);
}

#[test]
fn bcrypt_is_the_systems() {
    is_the_systems(Method::Bcrypt);
}

#[test]
fn written_salts_and_rounds_mean_what_they_mean_to_the_system() {
    let mut settings: Vec<String> = Vec::new();
    for salt in ["", "a", "abcdefgh", "abcdefghij", "abcdefghijklmnop", "abcdefghijklmnopqrst", "a_-+#%\"'{}"]
    {
        settings.extend(["$1$", "$5$", "$6$", "$6$rounds=1000$"].map(|start| format!("{start}{salt}")));
    }
    settings.extend([1001, 4999, 5000, 5001].map(|rounds| format!("$5$rounds={rounds}$salt")));
    settings.extend(["", "abcd", "ab..", "LdJMENpBABJJ3hIHjB1Bi."].map(|salt| format!("$y$j75${salt}")));
    settings.extend(["j75", "j85", "j7T", "j8T", "j9T", "jAT", "jBT"].map(|cost| format!("$y${cost}$abcd")));
    settings.extend(["$2b$04$", "$2y$05$"].map(|start| format!("{start}abcdefghijklmnopqrstuv")));
    let inputs: Vec<_> = settings.into_iter().map(|setting| (b"geheim".to_vec(), setting)).collect();
    for ((password, setting), theirs) in inputs.iter().zip(crypt(&inputs)) {
        let hash: Hash = theirs.parse().unwrap_or_else(|error| panic!("{setting}: {theirs}: {error}"));
        assert!(hash.matches(Phrase::new(password).unwrap()), "{setting}: {theirs}");
        assert!(!hash.matches(Phrase::new(b"Geheim").unwrap()), "{setting}");
    }
}

fn passwd(args: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bootlace"));
    command.arg("passwd").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[track_caller]
fn makes(args: &[&str], input: &[u8]) -> String {
    let output = passwd(args, input);
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Fails with one line.
#[track_caller]
fn fails(args: &[&str], input: &[u8], said: &str) {
    let output = passwd(args, input);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(1), vec![]), "{err}");
    assert!(err.lines().count() == 1 && err.starts_with("bootlace: ") && err.contains(said), "{err}");
}

#[test]
fn a_hash_is_made_and_known_again() {
    for method in Method::ALL {
        let hash = makes(&["-", "--method", method.name()], b"geheim\n");
        assert_eq!(hash.parse::<Hash>().unwrap().method(), method);
        assert_ne!(hash, makes(&["-", "--method", method.name()], b"geheim\n"), "its salt is random");
        makes(&["--verify", &hash, "-"], b"geheim\n");
        fails(&["--verify", &hash, "-"], b"Geheim\n", "another password's");
    }
    let salted = ["-", "--method", "md5", "--salt", "abcdefgh"];
    let expected = "$1$abcdefgh$rwnEbRiN0agqVgZBovWNQ/";
    for input in [&b"hello"[..], b"hello\n", b"hello\r\n"] {
        assert_eq!(makes(&salted, input), expected);
    }
    assert_eq!(&makes(&["-", "--salt", "abc", "--rounds", "1000"], b"x")[..22], "$6$rounds=1000$abc$zaW");
}

#[test]
fn what_cannot_be_hashed_is_told_in_one_line() {
    fails(&["-"], b"\n", "the password is empty");
    fails(&["-"], b"one\ntwo\n", "more than one line");
    fails(&["-"], b"a\0b\n", "NUL");
    fails(&["-"], &[b'x'; PHRASE_BYTES_MAX + 1], "longer than the 511 bytes");
    makes(&["-"], &[b'x'; PHRASE_BYTES_MAX]);
    fails(&["-", "--rounds", "999"], b"x", "the rounds of sha512 are 1000 to 999999999");
    fails(&["-", "--method", "md5", "--rounds", "1000"], b"x", "no choice of rounds");
    fails(&["-", "--salt", "a$b"], b"x", "the salt may have");
    fails(&["-", "--method", "bcrypt", "--salt", "short"], b"x", "22 characters");
    fails(&[], b"x", "standard input is no terminal");
    for args in
        [&["--method", "rot13"][..], &["--verify", "x"], &["--verify", "$1$a$b", "--salt", "x"], &["x"]]
    {
        assert_eq!(passwd(args, b"x").status.code(), Some(2), "{args:?}");
    }
    let long = passwd(&["-", "--method", "bcrypt"], &[b'x'; 73]);
    assert!(long.status.success());
    assert!(String::from_utf8_lossy(&long.stderr).contains("the first 72 bytes"));
}

/// `bootlace passwd` on a terminal of its own.
struct Typist {
    terminal: File,
    child: Child,
}

impl Typist {
    fn start(args: &[&str]) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let own = || File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootlace"));
        command.arg("passwd").args(args).stdin(own()).stderr(own()).stdout(Stdio::piped());
        Self { terminal: File::from(terminal), child: command.spawn().unwrap() }
    }

    /// Waits for the question, with nothing shown behind it, and answers.
    fn answer(&mut self, question: &str, keys: &str) {
        let mut shown = String::new();
        while !shown.ends_with(question) {
            let mut byte = [0];
            self.terminal.read_exact(&mut byte).unwrap();
            shown.push(char::from(byte[0]));
        }
        assert_eq!(shown.trim_start_matches("\r\n"), question, "nothing that was typed is shown");
        assert!(!self.modes().contains(LocalModes::ECHO));
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    fn modes(&self) -> LocalModes {
        tcgetattr(&self.terminal).unwrap().local_modes
    }

    fn end(mut self) -> (Option<i32>, String) {
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        let status = self.child.wait().unwrap();
        assert!(self.modes().contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG));
        (status.code(), out.trim_end().to_owned())
    }
}

#[test]
fn a_terminal_is_asked_twice_and_shows_nothing() {
    let mut typist = Typist::start(&["--method", "md5", "--salt", "abcdefgh"]);
    typist.answer("Password: ", "hellx\u{7f}o\r");
    typist.answer("Again: ", "hello\r");
    assert_eq!(typist.end(), (Some(0), "$1$abcdefgh$rwnEbRiN0agqVgZBovWNQ/".to_owned()));

    let mut typist = Typist::start(&[]);
    typist.answer("Password: ", "hello\r");
    typist.answer("Again: ", "Hello\r");
    assert_eq!(typist.end(), (Some(1), String::new()));

    let mut typist = Typist::start(&["--verify", "$1$abcdefgh$rwnEbRiN0agqVgZBovWNQ/"]);
    typist.answer("Password: ", "hello\r");
    assert_eq!(typist.end().0, Some(0));

    // Broken off, the terminal is what it was.
    let mut typist = Typist::start(&[]);
    typist.answer("Password: ", "hel\u{3}");
    assert_eq!(typist.end(), (Some(1), String::new()));
}
