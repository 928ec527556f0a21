//! Another config under a running server, as an admin, an editor, Ansible and Kubernetes put it there.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{LARGE, Server, WAIT, ask};

/// What the machine of the tests asks for, and what it is told.
const SCRIPT: &str = "script?mac=52:54:00:00:00:01&platform=pcbios&buildarch=i386";

impl Server {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> String {
        fs::read_to_string(self.path("bootlace.toml")).unwrap()
    }

    /// Lets the script of every machine come from a file.
    fn with_template() -> Self {
        let mut server = Self::start(":");
        fs::create_dir(server.path("templates")).unwrap();
        server.template("the first");
        let config = server.config().replacen("[dhcp]", "default = \"custom\"\n[dhcp]", 1);
        fs::write(
            server.path("bootlace.toml"),
            config + "[boot.custom]\nkind = \"ipxe\"\nscript = \"x.ipxe\"\n",
        )
        .unwrap();
        server.wait_for("reloaded");
        assert!(server.script().contains("the first"));
        server
    }

    fn template(&self, text: &str) {
        fs::write(self.path("templates/x.ipxe"), format!("#!ipxe\necho {text}\n")).unwrap();
    }

    fn script(&self) -> String {
        String::from_utf8(self.get(SCRIPT)).unwrap()
    }

    pub(crate) fn in_force(&self) -> (u64, Value) {
        let mut stream = UnixStream::connect(self.path("state/admin.sock")).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        write!(stream, "GET /api/v1/config HTTP/1.0\r\nHost: bootlace\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let mut value: Value = serde_json::from_str(body).unwrap();
        (value["number"].as_u64().unwrap(), value["needs_restart"].take())
    }
}

#[test]
fn a_changed_template_counts_from_the_next_request_on() {
    let mut server = Server::with_template();
    server.template("the second");
    let said = server.wait_for("reloaded");
    assert!(said.contains("boots=1 machines=0 rules=0 subnets=0"), "{said}");
    assert!(server.script().contains("the second"));
    assert_eq!(server.in_force(), (3, Value::Array(Vec::new())));
    assert!(server.stop().success());
}

#[test]
fn sighup_reloads_what_shows_no_change() {
    let mut server = Server::start(":");
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    assert_eq!(server.in_force().0, 2);
    assert!(server.get("small").ends_with(b"small"));
}

#[test]
fn a_bad_file_is_kept_out_with_all_its_findings() {
    let mut server = Server::with_template();
    let good = server.config();
    let bad = good.replace("\"custom\"", "\"costum\"").replace("kind = \"ipxe\"", "kind = \"ipex\"");
    fs::write(server.path("bootlace.toml"), bad).unwrap();
    server.wait_for("the config that was in force stays");
    let said = server.wait_for("did you mean \"ipxe\"");
    for wanted in ["costum", "bootlace.toml:", "^"] {
        assert!(said.contains(wanted), "nothing of {wanted} in: {said}");
    }
    assert!(server.script().contains("the first"));
    assert_eq!(server.in_force().0, 2);
    // As an editor saves: another file takes the name.
    fs::write(
        server.path("new"),
        good.replace("[boot.custom]", "[boot.more]\nkind = \"local\"\n[boot.custom]"),
    )
    .unwrap();
    fs::rename(server.path("new"), server.path("bootlace.toml")).unwrap();
    server.wait_for("reloaded");
    fs::remove_file(server.path("templates/x.ipxe")).unwrap();
    let said = server.wait_for("the config that was in force stays");
    assert!(said.contains("cannot be used"), "{said}");
    assert!(server.script().contains("the first"), "the text that was read stays");
    assert!(server.stop().success());
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_counts() {
    let mut server = Server::with_template();
    let port = format!("port = {}", server.port);
    let config =
        server.config().replace(&port, "port = 1").replacen("state_dir = \"state\"", "state_dir = \"s\"", 1);
    server.template("the third");
    fs::write(server.path("bootlace.toml"), config).unwrap();
    let said = server.wait_for("reloaded");
    assert!(said.contains("key=\"state_dir\"") && said.contains("key=\"http.port\""), "{said}");
    assert!(server.script().contains("the third"));
    assert_eq!(server.in_force().1, serde_json::json!(["state_dir", "http.port"]));
    assert!(!server.path("s").exists());
}

#[test]
fn a_download_goes_on_while_another_boot_dir_comes_into_force() {
    let mut server = Server::start(":");
    let mut stream = server.connect();
    ask(&mut stream, "large");
    stream.read_exact(&mut [0; 1000]).unwrap();
    fs::create_dir(server.path("other")).unwrap();
    fs::write(server.path("other/small"), "another").unwrap();
    let config = server.config().replace("boot_dir = \"boot\"", "boot_dir = \"other\"");
    fs::write(server.path("bootlace.toml"), config).unwrap();
    server.wait_for("reloaded");
    assert!(server.get("small").ends_with(b"another"));
    assert!(server.get("large").starts_with(b"HTTP/1.0 404"));
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.len() + 1000 > LARGE, "it broke off after {} bytes", rest.len());
}

#[test]
fn links_that_are_swapped_are_followed() {
    let mut server = Server::with_template();
    for version in ["v1", "v2"] {
        fs::create_dir(server.path(version)).unwrap();
        fs::write(server.path(version).join("x.ipxe"), format!("#!ipxe\necho link {version}\n")).unwrap();
    }
    // The way of a ConfigMap: the file is a link through a link, and only the inner one is ever swapped.
    symlink("../v1", server.path("templates/..data")).unwrap();
    symlink("..data/x.ipxe", server.path("templates/new")).unwrap();
    fs::rename(server.path("templates/new"), server.path("templates/x.ipxe")).unwrap();
    server.wait_for("reloaded");
    assert!(server.script().contains("link v1"));
    symlink("../v2", server.path("templates/..tmp")).unwrap();
    fs::rename(server.path("templates/..tmp"), server.path("templates/..data")).unwrap();
    server.wait_for("reloaded");
    assert!(server.script().contains("link v2"));
    fs::write(server.path("v2/x.ipxe"), "#!ipxe\necho in place\n").unwrap();
    server.wait_for("reloaded");
    assert!(server.script().contains("in place"));
    assert!(server.stop().success());
}

/// What the admin address answers to a token.
fn with_token(port: u16, token: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    write!(stream, "GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn a_new_token_counts_at_once_and_a_bad_one_is_kept_out() {
    const TOKENS: [&str; 2] = ["the-first-of-two-tokens", "the-other-of-two-tokens"];
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let admin = format!("listen = \"127.0.0.1:{port}\"\\ntoken_file = \"secret/token\"");
    let before = format!(
        "cd \"${{1%/*}}\" && mkdir secret && echo {} > secret/token && sed -i '/admin/,$s|listen.*|{admin}|' \"$1\"",
        TOKENS[0]
    );
    let mut server = Server::start(&before);
    assert_eq!(TOKENS.map(|token| with_token(port, token)), ["200", "401"]);
    fs::write(server.path("secret/new"), TOKENS[1]).unwrap();
    fs::rename(server.path("secret/new"), server.path("secret/token")).unwrap();
    server.wait_for("reloaded");
    assert_eq!(TOKENS.map(|token| with_token(port, token)), ["401", "200"]);
    for bad in ["short", ""] {
        fs::write(server.path("secret/new"), bad).unwrap();
        fs::rename(server.path("secret/new"), server.path("secret/token")).unwrap();
        let said = server.wait_for("the config that was in force stays");
        assert!(said.contains("16 characters"), "{said}");
        assert_eq!(TOKENS.map(|token| with_token(port, token)), ["401", "200"]);
    }
    // One that only its owner's superior may read is kept as it was read.
    fs::set_permissions(server.path("secret/token"), Permissions::from_mode(0o000)).unwrap();
    server.signal(Signal::HUP);
    assert!(server.wait_for("reloaded").contains("key=\"admin.token_file\""));
    assert_eq!(TOKENS.map(|token| with_token(port, token)), ["401", "200"]);
    assert!(server.stop().success());
}

#[test]
fn a_password_that_the_server_may_not_read_keeps_the_config_out() {
    let mut server = Server::start(":");
    fs::write(server.path("password"), "geheim-und-lang-genug").unwrap();
    let good = server.config()
        + "[boot.login]\nkind = \"san\"\ntarget = \"iscsi:san.example.com:6:3260:0:iqn.2007-08.com.example.san:x\"\n\
           username = \"web1\"\npassword_file = \"password\"\n";
    fs::write(server.path("bootlace.toml"), &good).unwrap();
    server.wait_for("reloaded");
    fs::set_permissions(server.path("password"), Permissions::from_mode(0o000)).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("the config that was in force stays");
    let said = server.wait_for("ermission denied");
    assert!(!said.contains("geheim"), "{said}");
    assert_eq!(server.in_force().0, 2);
    fs::set_permissions(server.path("password"), Permissions::from_mode(0o600)).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    assert_eq!(server.in_force().0, 3);
    assert!(server.stop().success());
}
