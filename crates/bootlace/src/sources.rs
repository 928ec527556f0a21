//! Reads a config with the files that it names, and hands their texts to the pure check.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use bootlace_core::config::{Draft, Files, Loaded, Passwords, Source, may_be_absent};
use bootlace_core::finding::Finding;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::cli::render::{self, Colour, Texts};

/// Largest config or template read: beyond it something else lies there.
const TEXT_BYTES_MAX: u64 = 16 << 20;

/// A config that was read, and what its check says.
pub(crate) struct Checked {
    /// The config's text.
    pub(crate) source: Source,
    /// The texts of the files that it names.
    pub(crate) files: Files,
    /// What can be served, or all findings.
    pub(crate) result: Result<Loaded, Vec<Finding>>,
}

/// Reads and checks the config; the error lists all findings with their places.
pub(crate) fn load(path: &Path) -> anyhow::Result<Loaded> {
    let Checked { source, files, result } = check(path)?;
    result.map_err(|findings| unusable(&findings, &source, &files))
}

/// Reads and checks the config; the error is that it cannot be read.
pub(crate) fn check(path: &Path) -> anyhow::Result<Checked> {
    let source = read(path)?;
    let draft = Draft::parse(&source);
    let files = read_files(draft.wanted());
    let result = draft.load(&files);
    drop(draft);
    Ok(Checked { source, files, result })
}

/// Hashes the passwords of a config before it is served; what is in force keeps its hash as long as the password is the same.
/// May take seconds, which `PASSWORDS_MAX` and its like bound.
pub(crate) fn hash_passwords(passwords: &mut Passwords, in_force: Option<&Passwords>) -> anyhow::Result<()> {
    in_force.into_iter().for_each(|in_force| passwords.keep_made(in_force));
    passwords
        .make(|| {
            let mut salt = [0; 16];
            getrandom(&mut salt, GetRandomFlags::empty()).map(|_| salt)
        })
        .context("cannot get random bytes")
}

/// The config's text.
pub(crate) fn read(path: &Path) -> anyhow::Result<Source> {
    let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(Source { name: path.display().to_string(), folder: folder.to_owned(), text })
}

/// The texts of files that a config names; of one that need not be there, nothing where it is not.
pub(crate) fn read_files(paths: impl IntoIterator<Item = PathBuf>) -> Files {
    let read = |path: PathBuf| {
        let text = match open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_be_absent(&path) => {
                Ok(String::new())
            }
            opened => {
                opened.map_err(anyhow::Error::from).and_then(text_of).map_err(|error| error.to_string())
            }
        };
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// The error that lists all findings with their places.
pub(crate) fn unusable(findings: &[Finding], source: &Source, files: &Files) -> anyhow::Error {
    let shown = render::findings(findings, &texts(source, files), Colour::of(&io::stderr()));
    anyhow!("{} cannot be used\n\n{shown}", source.name)
}

/// The texts that findings can point into.
pub(crate) fn texts(source: &Source, files: &Files) -> Texts {
    let others =
        files.iter().filter_map(|(path, text)| Some((path.display().to_string(), text.clone().ok()?)));
    others.chain([(source.name.clone(), source.text.clone())]).collect()
}

/// A file's text.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<String> {
    text_of(open(path)?)
}

fn open(path: &Path) -> io::Result<fs::File> {
    fs::File::open(path)
}

fn text_of(file: fs::File) -> anyhow::Result<String> {
    let mut text = String::new();
    file.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        bail!("larger than {TEXT_BYTES_MAX} bytes");
    }
    Ok(text)
}
