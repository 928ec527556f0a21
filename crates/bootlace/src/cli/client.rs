//! Asks the running server over its admin socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::de::DeserializeOwned;

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
        exchange(&self.socket()?, &format!("GET {path} HTTP/1.0\r\nHost: bootlace\r\n\r\n"))
    }

    /// Has it change something, and gets what it says to that.
    pub(super) fn post(&self, path: &str, json: &str) -> Result<String> {
        let head = format!("POST {path} HTTP/1.0\r\nHost: bootlace\r\nContent-Type: application/json");
        exchange(&self.socket()?, &format!("{head}\r\nContent-Length: {}\r\n\r\n{json}", json.len()))
    }

    fn socket(&self) -> Result<PathBuf> {
        let socket = match &self.socket {
            Some(socket) => socket.clone(),
            None => sources::load(&self.config)?.config.state_dir.join(crate::ADMIN_SOCKET),
        };
        Ok(socket)
    }

    /// The same, understood.
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
    let mut stream = UnixStream::connect(socket).map_err(|error| {
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
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).context("the server did not answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the server's answer is cut short")?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        Some("400" | "404" | "409") => bail!("{}", body.trim()),
        _ => bail!("the server says: {} {}", head.lines().next().unwrap_or_default(), body.trim()),
    }
}
