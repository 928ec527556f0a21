//! Gives up what a boot server does not need, before any thread exists (invariant 7).

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown, lchown};
use std::path::Path;

use anyhow::{Context, Result};
use caps::{CapSet, Capability, CapsHashSet};
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_no_new_privs, set_thread_gid, set_thread_groups, set_thread_uid};

/// What stays: frames to clients without an address, and ports under 1024 for interfaces that come later.
const KEPT: [Capability; 2] = [Capability::CAP_NET_RAW, Capability::CAP_NET_BIND_SERVICE];

/// Readable by its owner and group only: leases and histories are nobody else's business.
const STATE_DIR_MODE: u32 = 0o750;

/// Drops all capabilities but [`KEPT`] and the one that receive buffers beyond the kernel's limit take, and becomes
/// `user` if one is named: what is left to open and bind needs no more. A process that started without any
/// capability keeps what it has: nothing.
pub(crate) fn drop_for_binding(user: Option<&str>) -> Result<()> {
    let held = caps::read(None, CapSet::Permitted).context("cannot read this process's capabilities")?;
    if let Some(user) = user {
        become_user(user, &held)?;
    }
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new()).context("cannot drop capabilities")?;
    narrow_bounds(&held)?;
    keep(KEPT.into_iter().chain([Capability::CAP_NET_ADMIN]))?;
    // Without this, whatever root starts has all capabilities again.
    set_no_new_privs(true).context("cannot rule out new privileges")
}

/// Drops all capabilities but [`KEPT`].
pub(crate) fn drop_the_rest() -> Result<()> {
    keep(KEPT)
}

/// What no program that this process might ever start can have again.
fn narrow_bounds(held: &CapsHashSet) -> Result<()> {
    // Without it, the kernel does not let the set be narrowed; then there is little that could be regained.
    if !held.contains(&Capability::CAP_SETPCAP) {
        return Ok(());
    }
    let bounds = caps::read(None, CapSet::Bounding).context("cannot read the bounding set")?;
    for cap in bounds.into_iter().filter(|cap| !KEPT.contains(cap)) {
        caps::drop(None, CapSet::Bounding, cap).context("cannot narrow the bounding set")?;
    }
    Ok(())
}

fn keep(wanted: impl IntoIterator<Item = Capability>) -> Result<()> {
    let held = caps::read(None, CapSet::Permitted).context("cannot read this process's capabilities")?;
    let kept: CapsHashSet = wanted.into_iter().filter(|cap| held.contains(cap)).collect();
    caps::set(None, CapSet::Effective, &kept).context("cannot drop capabilities")?;
    caps::set(None, CapSet::Permitted, &kept).context("cannot drop capabilities")
}

/// Makes the state folder, and `user` its owner with all that root has left in it before.
///
/// Nothing in a folder that is the user's already is touched, and no link followed: whoever broke into the server
/// could have put one there that leads to a file of root's.
pub(crate) fn make_state_dir(path: &Path, user: Option<&str>) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(STATE_DIR_MODE).create(path);
    made.with_context(|| format!("cannot make state_dir {}", path.display()))?;
    let Some(user) = user else { return Ok(()) };
    let (uid, gid) = look_up(user)?;
    let give = || {
        if fs::metadata(path)?.uid() == uid.as_raw() {
            return Ok(());
        }
        for entry in fs::read_dir(path)? {
            lchown(entry?.path(), Some(uid.as_raw()), Some(gid.as_raw()))?;
        }
        chown(path, Some(uid.as_raw()), Some(gid.as_raw()))
    };
    give().with_context(|| format!("cannot give state_dir {} to {user}", path.display()))
}

fn look_up(user: &str) -> Result<(Uid, Gid)> {
    let passwd = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    find_user(&passwd, user).with_context(|| {
        format!("there is no user {user}; create it with: useradd --system --no-create-home {user}")
    })
}

/// Changes group and user of the only thread there is, keeping its capabilities across the change.
fn become_user(user: &str, held: &CapsHashSet) -> Result<()> {
    let (uid, gid) = look_up(user)?;
    if geteuid() == uid {
        return Ok(());
    }
    rustix::thread::set_keep_capabilities(true).context("cannot keep capabilities")?;
    set_thread_groups(&[]).with_context(|| format!("cannot become {user}: not started as root"))?;
    set_thread_gid(gid).with_context(|| format!("cannot become {user}"))?;
    set_thread_uid(uid).with_context(|| format!("cannot become {user}"))?;
    rustix::thread::set_keep_capabilities(false).context("cannot stop keeping capabilities")?;
    // Effective capabilities went with the user id; the permitted ones are still there to be cut down.
    caps::set(None, CapSet::Effective, held).context("cannot take capabilities back")
}

fn find_user(passwd: &str, name: &str) -> Option<(Uid, Gid)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2).map(str::parse::<u32>);
    match (fields.next()?, fields.next()?) {
        (Ok(uid), Ok(gid)) => Some((Uid::from_raw(uid), Gid::from_raw(gid))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\nboot:x:7:8::/:/bin/false\nbootlace:x:101:102::/:/bin/false\n";
        assert_eq!(find_user(passwd, "bootlace"), Some((Uid::from_raw(101), Gid::from_raw(102))));
        assert_eq!(find_user(passwd, "nobody"), None);
    }
}
