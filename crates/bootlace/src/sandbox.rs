//! Shuts the server in once all is open: Landlock holds it to its own files, seccomp takes system calls away that no
//! boot server makes. Both count for threads that start later, so there must be none yet (invariant 7).
//!
//! Whoever breaks in through a packet then neither reads other files nor starts a program. Each is had as far as the
//! kernel has it; a kernel without is no reason not to boot machines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use bootlace_core::config::SandboxMode;
use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    path_beneath_rules,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Up to truncation and ioctl on devices (Linux 6.10). Of what later versions have, a boot server needs all.
const ABI_KNOWN: ABI = ABI::V5;

/// What the running server and its libraries read beside their own: neighbours, how many threads the runtime
/// is to have, and which start of the host this is.
const SYSTEM: [&str; 5] = [
    "/proc/self/net",
    "/proc/self/cgroup",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
    "/proc/sys/kernel/random/boot_id",
];

/// Answered with EPERM: other programs, other processes, mounts, namespaces, the kernel itself, and calls that serve
/// attackers more often than servers.
pub const DENIED: [libc::c_long; 37] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_io_uring_setup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_acct,
];

/// What a reload says of a path that the kernel will not let it read.
pub(crate) const NEEDS_RESTART: &str =
    "outside of the folders that the running server may read: needs a restart";

/// What the process was shut in to.
#[derive(Debug, Default)]
pub struct Sandbox {
    /// Files and folders that may be read, as the kernel knows them; `None` when it restricts nothing.
    readable: Option<BTreeSet<Inode>>,
}

/// A file or folder whatever its name is: one that was renamed into the place of another is not that other. The
/// kernel keeps those of its rules from being given out anew.
type Inode = (u64, u64);

fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

impl Sandbox {
    /// Shuts in the calling thread and all that it starts from now on: it may read beneath `readable` and write beneath `state_dir`. Paths that do not exist
    /// are left out.
    pub fn enter(mode: SandboxMode, state_dir: &Path, readable: &BTreeSet<PathBuf>) -> Self {
        if mode == SandboxMode::Off {
            return Self::default();
        }
        // The root would be everything; a config whose way there goes through a link in it takes a restart.
        let readable = readable.iter().map(PathBuf::as_path).filter(|path| *path != Path::new("/"));
        let readable: Vec<&Path> = readable.chain([state_dir]).collect();
        let known = readable.iter().filter_map(|path| Some(inode(&fs::metadata(path).ok()?))).collect();
        let restricted = restrict_files(state_dir, &readable);
        if let Err(error) = &restricted {
            tracing::debug!("files are not restricted: {error:#}");
        }
        if let Err(error) = restrict_calls() {
            tracing::debug!("system calls are not restricted: {error:#}");
        }
        Self { readable: restricted.is_ok().then_some(known) }
    }

    /// Whether the kernel lets `path` be read, as far as it is up to the sandbox. What does not exist is: whoever
    /// reads it will say so.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        let (Some(readable), Ok(path)) = (&self.readable, fs::canonicalize(path)) else { return true };
        let mut beneath = path.ancestors().filter_map(|path| fs::metadata(path).ok());
        beneath.any(|metadata| readable.contains(&inode(&metadata)))
    }
}

fn restrict_files(state_dir: &Path, readable: &[&Path]) -> Result<()> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let all = AccessFs::from_all(ABI_KNOWN);
    // Nothing is ever started, and no device made.
    let writing = all & !(AccessFs::Execute | AccessFs::MakeBlock | AccessFs::MakeChar | AccessFs::IoctlDev);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .create()?
        .add_rules(path_beneath_rules(readable, reading))?
        .add_rules(path_beneath_rules(SYSTEM, reading))?
        .add_rules(path_beneath_rules([state_dir], writing))?
        .restrict_self()?;
    if status.ruleset == RulesetStatus::NotEnforced {
        bail!("this kernel has no Landlock");
    }
    Ok(())
}

fn restrict_calls() -> Result<()> {
    let rules: BTreeMap<i64, _> = DENIED.into_iter().map(|call| (call, Vec::new())).collect();
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, std::env::consts::ARCH.try_into()?)?;
    Ok(apply_filter(&BpfProgram::try_from(filter)?)?)
}
