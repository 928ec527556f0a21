//! What the kernel refuses to whoever is shut in: asked of the kernel, in a process of its own that has every privilege
//! over itself, so that it is the sandbox that refuses.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use bootlace::sandbox::{DENIED, Sandbox};
use bootlace_core::config::SandboxMode;

use crate::sandbox::landlock;

/// Set in that process.
const INSIDE: &str = "BOOTLACE_TEST_DENIED";

/// What a call says that is given nothing but nonsense: no pointer, descriptor, process or flag of any call is -1.
fn error_of(call: libc::c_long) -> Option<i32> {
    const NONSENSE: libc::c_long = -1;
    // SAFETY: with an address that no process has, the kernel reads and writes no memory of this one. None of the calls
    // of the list does anything by its number alone.
    let done = unsafe { libc::syscall(call, NONSENSE, NONSENSE, NONSENSE, NONSENSE, NONSENSE, NONSENSE) };
    (done == -1).then(|| Error::last_os_error().raw_os_error().unwrap())
}

#[test]
fn whoever_is_shut_in_is_refused_what_a_boot_server_never_does() {
    if std::env::var_os(INSIDE).is_none() {
        let test = "denied::whoever_is_shut_in_is_refused_what_a_boot_server_never_does";
        let status = Command::new("unshare")
            .args(["--user", "--map-root-user", "--"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "1")
            .status()
            .unwrap();
        assert!(status.success(), "it failed in its process");
        return;
    }
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (state, boot) = (dir.path().join("state"), dir.path().join("boot"));
    fs::create_dir(&state).unwrap();
    fs::create_dir(&boot).unwrap();
    fs::write(boot.join("kernel"), "a kernel").unwrap();
    let before: Vec<Option<i32>> = DENIED.into_iter().map(error_of).collect();
    assert!(before.iter().all(Option::is_some), "nonsense was done: {before:?}");
    let free = before.iter().filter(|error| **error != Some(libc::EPERM)).count();
    assert!(free > DENIED.len() / 2, "only {free} calls could be tried without the sandbox: {before:?}");

    let landlock = landlock();
    Sandbox::enter(SandboxMode::Auto, &state, &BTreeSet::from([boot.clone()]));
    for call in DENIED {
        assert_eq!(error_of(call), Some(libc::EPERM), "call {call}");
    }
    let refused = Command::new("/bin/true").spawn().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "a program was started");

    assert_eq!(fs::read(boot.join("kernel")).unwrap(), b"a kernel");
    fs::write(state.join("journal"), "what happened").unwrap();
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    if !landlock {
        return;
    }
    let refusals = [
        fs::read("/etc/passwd").map(drop),
        fs::read_dir(outside.path()).map(drop),
        File::create(outside.path().join("new")).map(drop),
        File::create(boot.join("new")).map(drop),
        fs::remove_file(boot.join("kernel")),
        fs::rename(boot.join("kernel"), state.join("kernel")),
    ];
    for (at, refused) in refusals.into_iter().enumerate() {
        let kind = refused.map_err(|error| error.kind());
        let crosses = Err(ErrorKind::CrossesDevices);
        assert!(kind == Err(ErrorKind::PermissionDenied) || kind == crosses, "{at}: {kind:?}");
    }
}
