//! What templates see.

use std::net::Ipv4Addr;

use minijinja::value::Value;

use super::{Template, names};
use crate::config::{BootName, Config, Machine, Passwords, Vars};
use crate::model::Facts;

/// How this machine reaches the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The address.
    pub ip: Ipv4Addr,
    /// The HTTP base without a slash at its end: by host name when the config has one, with the port unless
    /// it is 80.
    pub url: String,
}

impl Server {
    /// The server at an address of its own.
    pub fn new(config: &Config, ip: Ipv4Addr) -> Self {
        let host = config.hostname.clone().unwrap_or_else(|| ip.to_string());
        Self::at(config, ip, &host)
    }

    /// The same for who cannot look up names.
    pub fn by_address(config: &Config, ip: Ipv4Addr) -> Self {
        Self::at(config, ip, &ip.to_string())
    }

    fn at(config: &Config, ip: Ipv4Addr, host: &str) -> Self {
        let url = match config.http.port {
            80 => format!("http://{host}"),
            port => format!("http://{host}:{port}"),
        };
        Self { ip, url }
    }
}

/// Everything that a template of one boot sees for one machine.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What the machine reported.
    pub facts: &'a Facts,
    /// Its entry in the config.
    pub machine: Option<&'a Machine>,
    /// How it reaches the server.
    pub server: &'a Server,
    /// The boot.
    pub boot: &'a BootName,
    /// Values of machine over rule over boot.
    pub vars: &'a Vars,
    /// Passwords, to be inserted as hashes.
    pub passwords: &'a Passwords,
    /// Where an installation finds its answers; others have nothing of it.
    pub install: Option<&'a Links>,
}

/// What an installer can ask for, as URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// The folder of its answers, without a `/` at the end.
    pub url: String,
    /// To say that it is done.
    pub done: String,
}

impl Context<'_> {
    /// The names that `template` reads. Texts of the config are marked as safe, which is how the formatter
    /// tells them from what a machine reported.
    pub(super) fn value(&self, template: &Template) -> Value {
        let configured = |text: &str| Value::from_safe_string(text.to_owned());
        let reads = template.uses.iter();
        let client = reads.map(|&var| (names::key(var), self.facts.get(var).unwrap_or_default()));
        let machine = names::MACHINE.iter().map(|&(name, _)| (name, self.machine_value(name)));
        let server = [("ip", self.server.ip.to_string()), ("url", self.server.url.clone())];
        let passwords = template
            .passwords
            .iter()
            .filter_map(|name| Some((name.as_str(), Value::from_safe_string(self.passwords.shown(name)?))));
        let vars = self.vars.iter().map(|(key, text)| (key.as_str(), configured(text)));
        let install = self.install.map(|links| {
            Value::from_pairs([("url", configured(&links.url)), ("done", configured(&links.done))])
        });
        Value::from_pairs([
            ("client", Value::from_pairs(client)),
            ("machine", Value::from_pairs(machine)),
            ("server", Value::from_pairs(server.map(|(name, text)| (name, Value::from_safe_string(text))))),
            ("vars", Value::from_pairs(vars)),
            ("password", Value::from_pairs(passwords)),
            ("boot", Value::from_pairs([("name", configured(self.boot.as_str()))])),
            ("install", install.unwrap_or_default()),
        ])
    }

    /// What the config says of the machine, else what it reported. A machine without an entry is called by its
    /// MAC with dashes, which is a valid host name.
    fn machine_value(&self, name: &str) -> Value {
        let known = match name {
            "name" => {
                let by_mac = || self.facts.mac().map(|mac| mac.dashed());
                let name = self.machine.map(|machine| machine.name.clone()).or_else(by_mac);
                return Value::from_safe_string(name.unwrap_or_default());
            }
            "mac" => {
                self.facts.mac().or_else(|| self.machine?.macs.first().copied()).map(|mac| mac.to_string())
            }
            "uuid" => self
                .machine
                .and_then(|machine| machine.uuid)
                .or_else(|| self.facts.uuid())
                .map(|uuid| uuid.to_string()),
            "serial" => self
                .machine
                .and_then(|machine| machine.serial.clone())
                .or_else(|| self.facts.get(crate::model::Var::Serial).map(str::to_owned)),
            _ => self
                .machine
                .and_then(|machine| machine.address)
                .map(|address| address.to_string())
                .or_else(|| self.facts.get(crate::model::Var::Ip).map(str::to_owned)),
        };
        Value::from(known.unwrap_or_default())
    }
}
