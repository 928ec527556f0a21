//! Asks the running server over its admin socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bootlace_core::config::Config;
use clap::Args;
use serde::de::DeserializeOwned;

use super::{Format, JsonFlag, say};
use crate::sources;

/// Longest wait for an answer of the server.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The same for a sign of life.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer taken: far above what 100,000 machines fill.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Where the server is.
#[derive(Args)]
pub(super) struct Server {
    /// Config file of the server, which names its state folder
    #[arg(short, long, value_name = "FILE", default_value = "/etc/bootlace/bootlace.toml")]
    config: PathBuf,
    /// Admin socket, instead of looking into the config
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Server {
    /// The JSON at `path`.
    pub(super) fn get(&self, path: &str) -> Result<String> {
        exchange(&self.find()?, &format!("GET {path} HTTP/1.0\r\nHost: bootlace\r\n\r\n"))
    }

    /// Has it change something, and gets what it says to that.
    pub(super) fn post(&self, path: &str, json: &str) -> Result<String> {
        let head = format!("POST {path} HTTP/1.0\r\nHost: bootlace\r\nContent-Type: application/json");
        exchange(&self.find()?, &format!("{head}\r\nContent-Length: {}\r\n\r\n{json}", json.len()))
    }

    /// The same where a server runs; `None` where none does.
    pub(super) fn post_if_running(&self, path: &str, json: &str) -> Result<Option<String>> {
        if answers(&self.find()?) { self.post(path, json).map(Some) } else { Ok(None) }
    }

    /// The config that names the server.
    pub(super) fn config(&self) -> Result<Config> {
        Ok(sources::load(&self.config)?.config)
    }

    /// Has the server do what `path` says for as long as the connection is open that this returns.
    pub(super) fn hold(&self, path: &str) -> Result<UnixStream> {
        hold(&self.find()?, path)
    }

    fn find(&self) -> Result<PathBuf> {
        match &self.socket {
            Some(socket) => Ok(socket.clone()),
            None => Ok(self.config()?.state_dir.join(crate::ADMIN_SOCKET)),
        }
    }

    /// Prints what is at `path`: as it is for programs, or as `shown` makes it for people.
    pub(super) fn show<T: DeserializeOwned>(
        &self,
        path: &str,
        json: &JsonFlag,
        shown: impl FnOnce(T) -> String,
    ) -> Result<()> {
        match json.format() {
            Format::Json => say(&self.get(path)?),
            Format::Human => say(&shown(self.read(path)?)),
        }
    }

    /// What is at `path`, understood.
    pub(super) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let body = self.get(path)?;
        serde_json::from_str(&body)
            .context("the server's answer is not what this version knows: are they one version?")
    }
}

/// Whether a server is there, well or ill. A socket that nobody listens on, or that is kept for one, does not count.
pub(super) fn answers(socket: &Path) -> bool {
    let asked = UnixStream::connect(socket).and_then(|mut stream| {
        stream.set_read_timeout(Some(HEALTH_TIMEOUT))?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\nHost: bootlace\r\n\r\n")?;
        stream.read(&mut [0; 16])
    });
    asked.is_ok_and(|len| len > 0)
}

/// One HTTP/1.0 exchange: our own server on the other end answers with a length and closes.
fn exchange(socket: &Path, request: &str) -> Result<String> {
    let mut stream = connect(socket)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).context("the server did not answer")?;
    body(&answer).map(str::to_owned)
}

/// The same by POST, of which the beginning of a good answer is enough: it has no end.
fn hold(socket: &Path, path: &str) -> Result<UnixStream> {
    let mut stream = connect(socket)?;
    write!(stream, "POST {path} HTTP/1.0\r\nHost: bootlace\r\nContent-Length: 0\r\n\r\n")?;
    let mut reader = BufReader::new(&stream).take(ANSWER_BYTES_MAX);
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n") {
        let len = reader.read_line(&mut answer).context("the server did not answer")?;
        ensure!(len > 0, "the server's answer is cut short");
    }
    if status(&answer) != Some("200") {
        reader.read_to_string(&mut answer).context("the server's answer is cut short")?;
        bail!("{}", body(&answer).err().unwrap_or_else(|| anyhow::anyhow!("the server did not answer")));
    }
    // The first line comes when it is done.
    let len = reader.read_line(&mut answer).context("the server did not answer")?;
    ensure!(len > 0, "the server's answer is cut short");
    Ok(stream)
}

fn connect(socket: &Path) -> Result<UnixStream> {
    let stream = UnixStream::connect(socket).map_err(|error| {
        let at = socket.display();
        let said = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                format!("the server at {at} cannot be asked: as its user, or as root, it can")
            }
            // A server that has ended leaves its socket behind, and then refuses.
            _ => format!("no server at {at}: start it with `bootlace serve`"),
        };
        anyhow::Error::new(error).context(said)
    })?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// The answer's body, or what the server says instead.
fn body(answer: &str) -> Result<&str> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the server's answer is cut short")?;
    match status(head) {
        Some("200") => Ok(body),
        Some("400" | "404" | "409") => bail!("{}", body.trim()),
        _ => bail!("the server says: {} {}", head.lines().next().unwrap_or_default(), body.trim()),
    }
}

fn status(head: &str) -> Option<&str> {
    head.split(' ').nth(1)
}
