//! Reads a config with the files that it names, and hands their texts to the pure check.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use bootlace_core::config::{self, Files, Loaded, Passwords, Source};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::cli::render::{self, Colour, Texts};

/// Largest config or template read: beyond it something else lies there.
const TEXT_BYTES_MAX: u64 = 16 << 20;

/// Reads and checks the config; the error lists all findings with their places.
pub(crate) fn load(path: &Path) -> Result<Loaded> {
    let (source, files) = read(path)?;
    check(&source, &files)
}

/// Checks what was read; the error lists all findings with their places.
pub(crate) fn check(source: &Source, files: &Files) -> Result<Loaded> {
    config::load(source, files).map_err(|findings| {
        let colour = Colour::of(&io::stderr());
        let shown = render::findings(&findings, &texts(source, files), colour);
        anyhow::anyhow!("{} cannot be used\n\n{shown}", source.name)
    })
}

/// Hashes the passwords of a config before it is served; what is in force keeps its hash as long as the password is the same.
/// May take seconds, which `PASSWORDS_MAX` and its like bound.
pub(crate) fn hash_passwords(passwords: &mut Passwords, in_force: Option<&Passwords>) -> Result<()> {
    in_force.into_iter().for_each(|in_force| passwords.keep_made(in_force));
    passwords
        .make(|| {
            let mut salt = [0; 16];
            getrandom(&mut salt, GetRandomFlags::empty()).map(|_| salt)
        })
        .context("cannot get random bytes")
}

/// The config's text and the texts of the files that it names.
pub(crate) fn read(path: &Path) -> Result<(Source, Files)> {
    let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let source = Source { name: path.display().to_string(), folder: folder.to_owned(), text };
    let files = config::wanted(&source)
        .into_iter()
        .map(|wanted| {
            let text = read_text(&wanted).map_err(|error| error.to_string());
            (wanted, text)
        })
        .collect();
    Ok((source, files))
}

/// The texts that findings can point into.
pub(crate) fn texts(source: &Source, files: &Files) -> Texts {
    let others =
        files.iter().filter_map(|(path, text)| Some((path.display().to_string(), text.clone().ok()?)));
    others.chain([(source.name.clone(), source.text.clone())]).collect()
}

fn read_text(path: &Path) -> Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path)?;
    file.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        bail!("larger than {TEXT_BYTES_MAX} bytes");
    }
    Ok(text)
}
