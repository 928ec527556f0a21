//! The sandbox that a lab runs in: own network, process and mount namespaces.
//!
//! Three layers make sure that nothing outlives the lab, however it ends: `setpriv --pdeathsig` ends
//! `unshare` when its parent dies, `--kill-child` ends the first process of the sandbox when `unshare` dies,
//! and with its first process the kernel ends the whole process namespace.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

const ISOLATE: [&str; 4] = ["--net", "--pid", "--mount-proc", "--kill-child"];
/// Root needs no user namespace, and without one servers may change their uid as they do in production.
const AS_ROOT: &[&str] = &[];
/// Everybody else becomes root of a user namespace, where the host allows it.
const AS_USER: &[&str] = &["--user", "--map-root-user"];

/// What happens inside before the program starts. `/run` becomes empty, so that no server finds the host's
/// sockets or leaves its pid file there, and a DHCP client that rewrites the list of name servers rewrites one
/// of its own: a file that something is mounted on cannot be replaced either.
const ENTER: &str = r#"mount -t tmpfs run /run && : > /run/resolv.conf &&
{ [ ! -f /etc/resolv.conf ] || mount --bind /run/resolv.conf /etc/resolv.conf; } && exec "$@""#;

/// A command that runs `program`, usually the caller's own, with `args` in a new sandbox.
///
/// The sandbox ends with the *thread* that spawns the command, so spawn and wait on the same thread.
pub fn command<S: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = S>) -> Result<Command> {
    let identity = usable_identity()?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "unshare"]).args(identity).args(ISOLATE);
    command.args(["--", "sh", "-c", ENTER, "sh"]).arg(program).args(args);
    Ok(command)
}

fn usable_identity() -> Result<&'static [&'static str]> {
    let choices: &[&[&str]] =
        if rustix::process::geteuid().is_root() { &[AS_ROOT, AS_USER] } else { &[AS_USER] };
    for identity in choices {
        let works = Command::new("unshare")
            .args(*identity)
            .args(ISOLATE)
            .args(["--", "true"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if works {
            return Ok(identity);
        }
    }
    bail!(
        "this host does not allow a lab: neither root's nor unprivileged namespaces work. \
         Run as root, or allow them (sysctl kernel.unprivileged_userns_clone=1; on Ubuntu also \
         kernel.apparmor_restrict_unprivileged_userns=0); in a container they need CAP_SYS_ADMIN"
    )
}
