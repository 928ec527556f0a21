//! Network namespaces, held by descriptor.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use bootlace_links::Links;

/// A network namespace. It lives as long as this value or any process in it.
#[derive(Debug)]
pub struct Namespace {
    fd: File,
    links: Links,
}

impl Namespace {
    /// Makes an empty namespace whose loopback is up.
    ///
    /// `unshare(2)` is unsafe in Rust because of flags that we do not use, so a short-lived `unshare` process
    /// makes the namespace and we take hold of it by way of /proc.
    pub fn new() -> Result<Self> {
        let mut maker = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("run unshare")?;
        let opened = take_hold(&mut maker);
        drop(maker.stdin.take());
        maker.wait().context("wait for unshare")?;
        let fd = opened.context("make a network namespace: is this process in a lab sandbox?")?;
        let links = on_thread_in(&fd, Links::of_this_thread)??;
        let ns = Self { fd, links };
        ns.links.up("lo")?;
        Ok(ns)
    }

    /// The links of this namespace.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Runs `work` on a thread that has entered the namespace. Sockets that it opens stay in there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_thread_in(&self.fd, work)
    }

    /// Starts a program inside the namespace.
    ///
    /// The child inherits the namespace of the thread that forks it. That thread is gone right after, which
    /// is why the lab relies on the sandbox's process namespace, and not on parent-death signals, to end
    /// children.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        let program = command.get_program().to_string_lossy().into_owned();
        self.run(|| command.spawn())?.with_context(|| format!("start {program}"))
    }

    /// Runs a program inside the namespace to its end and returns what it printed.
    pub fn output(&self, command: &mut Command) -> Result<std::process::Output> {
        let program = command.get_program().to_string_lossy().into_owned();
        self.run(|| command.output())?.with_context(|| format!("run {program}"))
    }

    /// Sets a `net` sysctl such as `ipv4/ip_forward`.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/net/{name}");
        self.run(|| std::fs::write(&path, value))?.with_context(|| format!("set {path}"))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Opens the namespace of `maker` once an echo through it proves that it has left ours.
fn take_hold(maker: &mut Child) -> Result<File> {
    let mut to = maker.stdin.as_ref().context("stdin is a pipe")?;
    let mut from = maker.stdout.take().context("stdout is a pipe")?;
    to.write_all(b".")?;
    from.read_exact(&mut [0])?;
    Ok(File::open(format!("/proc/{}/ns/net", maker.id()))?)
}

fn on_thread_in<T: Send>(ns: &File, work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let inside = scope.spawn(|| -> Result<T> {
            move_into_link_name_space(ns.as_fd(), Some(LinkNameSpaceType::Network))
                .context("enter a network namespace")?;
            Ok(work())
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
