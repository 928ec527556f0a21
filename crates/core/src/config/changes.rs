//! What a config that was read again changes, and what of it has to wait for a restart.

use std::collections::BTreeMap;
use std::fmt;

use super::{Config, Machine, Rule};

/// How many entries of each kind were added, taken away or written differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// `[boot.NAME]`, with its template.
    pub boots: usize,
    /// `[[machine]]`, by name.
    pub machines: usize,
    /// `[[rule]]`, by place: one that is put in front moves all the others.
    pub rules: usize,
    /// `[[dhcp.subnet]]`, by network.
    pub subnets: usize,
}

impl Changed {
    /// From the config in force to the next one.
    pub fn between(old: &Config, new: &Config) -> Self {
        let by_name = |machine: &'_ Machine| machine.name.clone();
        let by_number = |rule: &'_ Rule| rule.number;
        let subnets = |config: &Config| {
            config.dhcp.subnets.iter().map(|subnet| (subnet.cidr, subnet.clone())).collect::<BTreeMap<_, _>>()
        };
        Self {
            boots: differing(&old.boots, &new.boots),
            machines: differing(&keyed(&old.machines, by_name), &keyed(&new.machines, by_name)),
            rules: differing(&keyed(&old.rules, by_number), &keyed(&new.rules, by_number)),
            subnets: differing(&subnets(old), &subnets(new)),
        }
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { boots, machines, rules, subnets } = self;
        write!(f, "boots={boots} machines={machines} rules={rules} subnets={subnets}")
    }
}

fn keyed<K: Ord, T>(items: &[T], key: impl Fn(&T) -> K) -> BTreeMap<K, &T> {
    items.iter().map(|item| (key(item), item)).collect()
}

fn differing<K: Ord, T: PartialEq>(old: &BTreeMap<K, T>, new: &BTreeMap<K, T>) -> usize {
    let gone = old.keys().filter(|key| !new.contains_key(key)).count();
    gone + new.iter().filter(|(key, item)| old.get(key) != Some(item)).count()
}

/// Puts the values in force back into `new` where another one takes a socket or a privilege that a running server
/// no longer has. Returns the keys that differ, as the file writes them.
pub fn keep_what_needs_restart(old: &Config, new: &mut Config) -> Vec<&'static str> {
    let mut keys = Vec::new();
    keep("interfaces", &old.interfaces, &mut new.interfaces, &mut keys);
    keep("state_dir", &old.state_dir, &mut new.state_dir, &mut keys);
    keep("user", &old.user, &mut new.user, &mut keys);
    keep("sandbox", &old.sandbox, &mut new.sandbox, &mut keys);
    keep("dhcp.mode", &old.dhcp.mode, &mut new.dhcp.mode, &mut keys);
    keep("tftp.enabled", &old.tftp.enabled, &mut new.tftp.enabled, &mut keys);
    keep("tftp.port", &old.tftp.port, &mut new.tftp.port, &mut keys);
    keep("tftp.single_port", &old.tftp.single_port, &mut new.tftp.single_port, &mut keys);
    keep("tftp.ports", &old.tftp.ports, &mut new.tftp.ports, &mut keys);
    keep("http.port", &old.http.port, &mut new.http.port, &mut keys);
    keep("ipxe.ipv6_wait", &old.ipv6_wait, &mut new.ipv6_wait, &mut keys);
    keep("iscsi", &old.iscsi, &mut new.iscsi, &mut keys);
    keep("images", &old.images, &mut new.images, &mut keys);
    if new.has_disks() && !old.has_disks() {
        // Nothing listens for them, and their images may not be read.
        keys.push("boot.kind = \"disk\"");
    }
    keep("admin.listen", &old.admin.listen, &mut new.admin.listen, &mut keys);
    keep("admin.token_file", &old.admin.token_file, &mut new.admin.token_file, &mut keys);
    keys
}

fn keep<T: Clone + PartialEq>(key: &'static str, old: &T, new: &mut T, keys: &mut Vec<&'static str>) {
    if *old != *new {
        new.clone_from(old);
        keys.push(key);
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::config::{DhcpMode, Files, Source, load};

    const OLD: &str = r#"
interfaces = ["eth0"]
state_dir = "state"
[dhcp]
mode = "server"
[[dhcp.subnet]]
subnet = "10.188.0.0/24"
[boot.a]
kind = "linux"
kernel = "vmlinuz"
cmdline = "quiet"
[boot.b]
kind = "local"
[[machine]]
name = "web1"
mac = "52:54:00:00:00:01"
[[rule]]
match = { manufacturer = "QEMU*" }
boot = "a"
"#;

    fn config(text: &str) -> Config {
        let source = Source { name: "x".into(), folder: PathBuf::new(), text: text.into() };
        load(&source, &Files::new()).unwrap().config
    }

    #[test]
    fn entries_are_counted_that_are_new_gone_or_different() {
        let old = config(OLD);
        assert_eq!(Changed::between(&old, &old), Changed::default());
        assert_eq!(Changed::between(&old, &config(OLD)), Changed::default(), "the same text is no change");
        let new = config(
            &OLD.replace("quiet", "loud")
                .replace("[boot.b]", "[boot.c]")
                .replace("10.188.0.0", "10.189.0.0")
                .replace("QEMU*", "Dell*")
                .replace("00:01", "00:02"),
        );
        let changed = Changed::between(&old, &new);
        assert_eq!(changed.to_string(), "boots=3 machines=1 rules=1 subnets=2");
    }

    #[test]
    fn what_needs_a_restart_stays_and_is_named() {
        let old = config(OLD);
        let mut same = config(OLD);
        assert!(keep_what_needs_restart(&old, &mut same).is_empty());
        let text =
            OLD.replace("eth0", "eth1").replace("\"server\"", "\"off\"").replace("[boot.b]", "[boot.c]");
        let mut new = config(&format!(
            "user = \"u\"\nsandbox = \"off\"\n{text}[tftp]\nenabled = false\nport = 70\nsingle_port = true\n[http]\nport = 81\n\
             [iscsi]\nport = 3261\n[ipxe]\nipv6_wait = \"keep\"\n[admin]\nlisten = \"off\"\ntoken_file = \"t\"\n"
        ));
        new.state_dir = "elsewhere".into();
        new.tftp.ports = Some(5000..=5001);
        let keys = keep_what_needs_restart(&old, &mut new);
        assert_eq!(
            keys.join(" "),
            "interfaces state_dir user sandbox dhcp.mode tftp.enabled tftp.port tftp.single_port tftp.ports http.port \
             ipxe.ipv6_wait iscsi admin.listen admin.token_file"
        );
        new.iscsi.targets.clear();
        let text = format!("{OLD}[boot.d]\nkind = \"disk\"\nimage = \"i\"\n");
        assert_eq!(keep_what_needs_restart(&old, &mut config(&text)), ["boot.kind = \"disk\""]);
        assert!(keep_what_needs_restart(&config(&text), &mut config(&text)).is_empty());
        assert_eq!(new.dhcp.mode, DhcpMode::Server);
        assert_eq!(new.state_dir, Path::new("state"));
        assert_eq!(Changed::between(&old, &new).boots, 2, "the rest takes effect");
        assert!(keep_what_needs_restart(&old, &mut new).is_empty());
    }
}
