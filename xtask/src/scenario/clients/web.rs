//! HTTP by the clients that people have.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::{Host, Lan};

use super::Context;
use super::files::{command, fetch, run, same, target, write};
use super::served::{SERVER, SUBNET, Served};

const LEN: u64 = 5_000_000;

pub(super) fn clients(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let server = Served::start(context, &lan, &format!("[dhcp]\nmode = \"server\"\n{SUBNET}"))?;
    write(&server.boot_dir().join("image.iso"), LEN)?;
    write(&server.boot_dir().join("next.iso"), LEN)?;
    fs::write(context.dir().join("secret"), "not for you")?;
    let host = lan.host("client", "10.188.0.20/24")?;
    whole(context, &host, &server)?;
    resumed(context, &host, &server)?;
    conditions(context, &host)?;
    refusals(context, &host)
}

fn url(name: &str) -> String {
    format!("http://{SERVER}/{name}")
}

fn whole(context: &Context, host: &Host, server: &Served) -> Result<()> {
    let (got, sent) = (target(context.dir(), "whole"), server.boot_dir().join("image.iso"));
    for mut get in [
        command("curl", &["-fsS", &url("image.iso"), "-o"]),
        command("curl", &["-fsS", "--http1.0", &url("files/image.iso"), "-o"]),
        command("curl", &["-fsS", "--limit-rate", "20M", &url("image.iso"), "-o"]),
        command("wget", &["-q", &url("image.iso"), "-O"]),
        command("busybox", &["wget", "-q", &url("image.iso"), "-O"]),
    ] {
        fetch(host, get.arg(&got), &got, &sent)?;
    }
    // Two files over one connection.
    let next = target(context.dir(), "next");
    let mut get = command("curl", &["-fsSv", &url("image.iso"), &url("next.iso"), "-o"]);
    let (done, said) = run(host, get.arg(&got).arg("-o").arg(&next))?;
    ensure!(done && said.contains("Re-using existing connection"), "no keep-alive: {said}");
    same(&got, &sent)?;
    same(&next, &sent)?;
    context.note("whole files");
    Ok(())
}

fn resumed(context: &Context, host: &Host, server: &Served) -> Result<()> {
    let (got, sent) = (target(context.dir(), "part"), server.boot_dir().join("image.iso"));
    let bytes = fs::read(&sent)?;
    for mut resume in [
        command("curl", &["-fsS", "-C", "-", &url("image.iso"), "-o"]),
        command("wget", &["-q", "-c", &url("image.iso"), "-O"]),
    ] {
        fs::write(&got, &bytes[..1_234_567])?;
        let (done, said) = run(host, resume.arg(&got))?;
        ensure!(done, "{resume:?}: {said}");
        same(&got, &sent)?;
    }
    for (range, part) in [
        ("0-0", &bytes[..1]),
        ("4096-8191", &bytes[4_096..8_192]),
        ("4999000-9999999", &bytes[4_999_000..]),
        ("-1000", &bytes[4_999_000..]),
    ] {
        let mut get = command("curl", &["-fsS", "-r", range, "-w", "%{http_code}", &url("image.iso"), "-o"]);
        let (_, said) = run(host, get.arg(&got))?;
        ensure!(said == "206", "range {range}: {said}");
        ensure!(fs::read(&got)? == part, "range {range} is not what was asked for");
    }
    context.note("ranges and resumed files");
    Ok(())
}

/// What a client keeps of the headers; names in the case of the wire.
fn head(host: &Host, arguments: &[&str]) -> Result<String> {
    let mut get = command("curl", &["-sS", "-o", "/dev/null", "-D", "-"]);
    Ok(run(host, get.args(arguments))?.1)
}

fn conditions(context: &Context, host: &Host) -> Result<()> {
    let url = url("image.iso");
    let headers = head(host, &["-I", &url])?;
    ensure!(headers.contains("Content-Length: 5000000\r\n"), "HEAD: {headers}");
    ensure!(headers.contains("Accept-Ranges: bytes\r\n"), "HEAD: {headers}");
    let etag = headers.lines().find_map(|line| line.strip_prefix("Etag: ").or(line.strip_prefix("ETag: ")));
    let etag = etag.with_context(|| format!("no ETag: {headers}"))?.to_owned();

    let if_range = |value: &str| head(host, &["-r", "10-19", "-H", &format!("If-Range: {value}"), &url]);
    ensure!(if_range(&etag)?.starts_with("HTTP/1.1 206 "), "If-Range with the right version");
    ensure!(if_range("\"another\"")?.starts_with("HTTP/1.1 200 "), "If-Range with another version");
    let none_match = head(host, &["-H", &format!("If-None-Match: {etag}"), &url])?;
    ensure!(none_match.starts_with("HTTP/1.1 304 "), "If-None-Match: {none_match}");
    let beyond = head(host, &["-r", "5000000-", &url])?;
    ensure!(beyond.starts_with("HTTP/1.1 416 ") && beyond.contains("bytes */5000000"), "{beyond}");
    context.note("HEAD, If-Range, If-None-Match, 416");

    // GRUB compares this name with case.
    let request = b"GET /image.iso HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let raw = exchange(host, request)?;
    ensure!(contains(&raw, b"\r\nContent-Length: 5000000\r\n"), "the name is not in title case");
    Ok(())
}

fn exchange(host: &Host, request: &[u8]) -> Result<Vec<u8>> {
    host.namespace().run(|| {
        let mut stream = TcpStream::connect((SERVER, 80))?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    })?
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn refusals(context: &Context, host: &Host) -> Result<()> {
    let missing = head(host, &[&url("nothing/here")])?;
    ensure!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
    let post = head(host, &["-d", "x=y", &url("image.iso")])?;
    ensure!(post.starts_with("HTTP/1.1 405 ") && post.contains("Allow: GET, HEAD"), "{post}");
    for path in [
        "../secret",
        "files/../../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "..%5csecret",
        "//../secret",
        "etc/passwd",
    ] {
        let (_, said) = run(host, &mut command("curl", &["-sS", "-i", "--path-as-is", &url(path)]))?;
        let status = said.split(' ').nth(1).unwrap_or_default();
        ensure!(["400", "403", "404"].contains(&status), "{path}: {said}");
        ensure!(!said.contains("not for you"), "{path} came out of boot_dir");
    }
    context.note("404, 405 and names that stay in boot_dir");
    Ok(())
}
