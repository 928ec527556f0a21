//! The Debian packages that the project's commands need, installed when root, else named.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

const PACKAGES: &str = include_str!("../packages.toml");
/// What Debian asks before it starts a service; its answer 101 means "not allowed".
const POLICY: &str = "/usr/sbin/policy-rc.d";
const DENY_POLICY: &str =
    "#!/bin/sh\n# By `cargo xtask setup`, while it installs packages. May be removed.\nexit 101\n";
/// Exists where systemd is the init.
const SYSTEMD: &str = "/run/systemd/system";

/// Which commands need a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Need {
    /// `test`, `lab` and `demo`.
    Test,
    /// `bench`, for the servers it compares with.
    Bench,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Packages {
    package: Vec<Package>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    name: String,
    purpose: String,
    needed_by: Need,
    /// Another package that does as well, and that cannot be installed beside it.
    #[serde(default)]
    or: Option<String>,
    /// A package that it has to have the version of, as both are built of one source.
    #[serde(default)]
    version_of: Option<String>,
    /// Services that its installation would start now and at every boot.
    #[serde(default)]
    services: Vec<String>,
}

impl Package {
    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.or).map(String::as_str)
    }
}

/// Makes sure that every package which one of `needs` asks for is there.
pub(crate) fn run(needs: &[Need]) -> Result<()> {
    let all: Packages = toml::from_str(PACKAGES).context("xtask/packages.toml")?;
    let present = installed(&all.package)?;
    let missing: Vec<&Package> = all
        .package
        .iter()
        .filter(|package| needs.contains(&package.needed_by))
        .filter(|package| !package.names().any(|name| present.contains(name)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name.as_str()).collect();
    if !rustix::process::geteuid().is_root() {
        let why: String =
            missing.iter().map(|package| format!("  {:<22} {}\n", package.name, package.purpose)).collect();
        bail!(
            "missing Debian packages:\n{why}\nsudo apt-get install --no-install-recommends {}",
            names.join(" ")
        );
    }
    println!("installing {}", names.join(" "));
    apt_get(&["-qq", "update"])?;
    let others = of_other_versions(&all.package, &missing)?;
    for other in &others {
        println!("taking {other} in the place of another version, which cannot be there beside the rest");
    }
    let quiet = NoServices::begin(&missing)?;
    let mut arguments = vec!["-qq", "install", "-y", "--no-install-recommends"];
    if !others.is_empty() {
        arguments.push("--allow-downgrades");
    }
    arguments.extend(&names);
    arguments.extend(others.iter().map(String::as_str));
    let result = apt_get(&arguments);
    drop(quiet);
    result
}

fn installed(packages: &[Package]) -> Result<BTreeSet<String>> {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status} ${Package}\n"])
        .args(packages.iter().flat_map(Package::names))
        // It complains of every package that it has never heard of.
        .stderr(Stdio::null())
        .output()
        .context("run dpkg-query: the tests need a Debian system")?;
    let text = String::from_utf8(output.stdout).context("dpkg-query speaks UTF-8")?;
    Ok(text.lines().filter_map(|line| line.strip_prefix("installed ")).map(str::to_owned).collect())
}

/// Packages that are installed in another version than that in which what belongs to them is about to be installed: left of a
/// source that the host no longer has, which apt does not resolve by itself.
fn of_other_versions(all: &[Package], missing: &[&Package]) -> Result<Vec<String>> {
    let mut others = Vec::new();
    for package in all {
        let Some(main) = missing.iter().find(|main| package.version_of.as_ref() == Some(&main.name)) else {
            continue;
        };
        let here = policy(&package.name, "Installed:")?;
        let (Some(here), Some(coming)) = (here, policy(&main.name, "Candidate:")?) else { continue };
        if here != coming {
            others.push(format!("{}={coming}", package.name));
        }
    }
    Ok(others)
}

/// What `apt-cache policy` says of a package.
fn policy(package: &str, what: &str) -> Result<Option<String>> {
    let output = Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C").output();
    let text = String::from_utf8_lossy(&output.context("run apt-cache")?.stdout).into_owned();
    let version = text.lines().find_map(|line| line.trim().strip_prefix(what));
    Ok(version.map(str::trim).filter(|version| *version != "(none)").map(str::to_owned))
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null())
        .status()
        .context("run apt-get")?;
    ensure!(status.success(), "apt-get {} failed", arguments.join(" "));
    Ok(())
}

/// While it lives, installed packages start no services; when it goes, those of our packages are switched off
/// for the next boot as well. A test run must not turn somebody's computer into a server.
struct NoServices {
    services: Vec<String>,
    policy: Policy,
}

enum Policy {
    Ours,
    /// The host has its own, which is not for us to replace.
    Theirs,
}

impl NoServices {
    fn begin(packages: &[&Package]) -> Result<Self> {
        let services = packages.iter().flat_map(|package| package.services.clone()).collect();
        let leftover = fs::read_to_string(POLICY).is_ok_and(|text| text == DENY_POLICY);
        if Path::new(POLICY).exists() && !leftover {
            return Ok(Self { services, policy: Policy::Theirs });
        }
        fs::write(POLICY, DENY_POLICY).with_context(|| format!("write {POLICY}"))?;
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(POLICY, executable).with_context(|| format!("make {POLICY} executable"))?;
        Ok(Self { services, policy: Policy::Ours })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if matches!(self.policy, Policy::Ours)
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("warning: {POLICY} stays behind, remove it: {error}");
        }
        if self.services.is_empty() || !Path::new(SYSTEMD).exists() {
            return;
        }
        let done = Command::new("systemctl").args(["disable", "--now"]).args(&self.services).status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("warning: could not disable {}", self.services.join(" "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_list_is_sound() {
        let all: Packages = toml::from_str(PACKAGES).unwrap();
        let names: BTreeSet<&str> = all.package.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names.len(), all.package.len(), "a package is listed twice");
        assert!(all.package.iter().all(|package| !package.purpose.is_empty()));
        assert!(!names.contains("dnsmasq"), "dnsmasq-base has the program and no service");
        assert!(!names.contains("tftpd-hpa"), "tftpd-hpa and atftpd do not install together");
    }
}
