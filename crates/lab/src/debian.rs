//! Contents of Debian packages, without installing them.
//!
//! For what would disturb a person's computer when installed: a kernel joins the boot menu, and
//! `busybox-static` throws out `busybox`, which most installed systems have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The unpacked contents of `package`, from `CACHE/PACKAGE` or else by apt. Needs no root.
pub fn unpack(cache: &Path, package: &str) -> Result<PathBuf> {
    let unpacked = cache.join(package);
    if !unpacked.is_dir() {
        download(cache, package, &unpacked).with_context(|| format!("get the Debian package {package}"))?;
    }
    Ok(unpacked)
}

/// The package that a meta package stands for: its first dependency.
pub fn meant_by(meta_package: &str) -> Result<String> {
    let output =
        Command::new("apt-cache").args(["depends", meta_package]).output().context("run apt-cache")?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().find_map(|line| line.trim().strip_prefix("Depends: ")) {
        Some(package) => Ok(package.to_owned()),
        None => bail!("apt knows no {meta_package}; on a Debian system run `apt-get update` as root"),
    }
}

fn download(cache: &Path, package: &str, unpacked: &Path) -> Result<()> {
    // Beside the final place and renamed into it, so that an interrupted download leaves nothing half done.
    let work = cache.join(format!("{package}.{}", std::process::id()));
    fs::create_dir_all(&work).with_context(|| format!("make {}", work.display()))?;
    run(Command::new("apt-get").args(["-qq", "download", package]).current_dir(&work))?;
    let archive = fs::read_dir(&work)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get downloaded no package")?;
    let contents = work.join("contents");
    run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&contents))?;
    match fs::rename(&contents, unpacked) {
        // Somebody else was faster, which is as good.
        Err(_) if unpacked.is_dir() => {}
        result => result.with_context(|| format!("move {}", contents.display()))?,
    }
    fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("run {program}"))?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
