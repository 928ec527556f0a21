//! The types of a checked configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bootlace_wire::Mac;
use bootlace_wire::dhcp::{Code, Feature};

use super::disk::{DiskBoot, DiskChap};
use super::install::Install;
use super::inventory::Machines;
use super::iscsi::IscsiConfig;
use super::passwords::Passwords;
use super::san::San;
use crate::boot::loader::Loader;
use crate::boot::rules::Match;
use crate::boot::template::Template;
use crate::model::{ClientId, Uuid};

/// Everything that `bootlace.toml` says, with its defaults filled in. Paths are absolute or relative to the
/// working directory, never to the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Interfaces to serve; empty means that the start-up has to choose or `--interface` names them.
    pub interfaces: Vec<String>,
    /// The address that machines are told to use; without it, the receiving interface's in the client's subnet.
    pub server: Option<Ipv4Addr>,
    /// Used instead of an address in URLs for iPXE.
    pub hostname: Option<String>,
    /// Databases, admin socket, generated files.
    pub state_dir: PathBuf,
    /// Read-only files for TFTP and HTTP.
    pub boot_dir: PathBuf,
    /// Folder of the images of disks.
    pub images: PathBuf,
    /// Folders that symbolic links in `boot_dir` may lead into, and where loaders are looked for.
    pub follow: Vec<PathBuf>,
    /// Folder of template files.
    pub templates: PathBuf,
    /// The boot of a machine that nothing else decides.
    pub default: BootName,
    /// The user to become after start.
    pub user: Option<String>,
    /// Whether the server shuts itself in after the start.
    pub sandbox: SandboxMode,
    /// DHCP.
    pub dhcp: DhcpConfig,
    /// TFTP.
    pub tftp: TftpConfig,
    /// HTTP for machines.
    pub http: HttpConfig,
    /// Whether iPXE waits for IPv6 routers.
    pub ipv6_wait: Ipv6Wait,
    /// Whether boots teach anything.
    pub learn: LearnConfig,
    /// Disks that are no machine's boot.
    pub iscsi: IscsiConfig,
    /// API for people and programs.
    pub admin: AdminConfig,
    /// All boots by name.
    pub boots: BTreeMap<BootName, Boot>,
    /// Passwords that templates can insert as hashes.
    pub passwords: Passwords,
    /// Known machines, in file order.
    pub machines: Machines,
    /// Rules, in file order; the first match wins.
    pub rules: Vec<Rule>,
}

/// What stands for a secret that is not shown; scripts write it as it is.
pub(crate) const HIDDEN: &str = "_secret_";

impl Config {
    /// A boot that the check has made sure exists: every [`BootName`] inside a `Config` is a key of `boots`.
    pub fn boot(&self, name: &BootName) -> &Boot {
        &self.boots[name]
    }

    /// The boots that give a machine a disk of its own.
    pub fn disk_boots(&self) -> impl Iterator<Item = (&BootName, &DiskBoot)> {
        self.boots.values().filter_map(|boot| match &boot.kind {
            BootKind::Disk(disk) => Some((&boot.name, disk)),
            _ => None,
        })
    }

    /// Whether there is anything to serve by iSCSI.
    pub fn has_disks(&self) -> bool {
        !self.iscsi.targets.is_empty() || self.disk_boots().next().is_some()
    }

    /// With a word in the place of every login's secret, as passwords have one until their hashes are made: for whoever
    /// only looks at what would be sent.
    pub fn without_secrets(mut self) -> Self {
        for boot in self.boots.values_mut() {
            let (BootKind::San(San { chap: Some(chap), .. })
            | BootKind::Disk(DiskBoot { chap: DiskChap::Static(chap), .. })) = &mut boot.kind
            else {
                continue;
            };
            let reverse = chap.reverse.iter_mut().map(|(_, secret)| secret);
            reverse.chain([&mut chap.password]).for_each(|secret| *secret = Secret::new(HIDDEN.to_owned()));
        }
        self
    }
}

/// The name of a `[boot.NAME]`: letters, digits, `-`, `_` and `.`, at most 64, the first no dash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootName(String);

/// Longest name of a boot or a machine.
pub const NAME_BYTES_MAX: usize = 64;

impl BootName {
    /// `None` when the name could not stand in a URL, a label and a log field as it is.
    pub fn new(name: &str) -> Option<Self> {
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        // A leading dash would make it an option of the commands that scripts give it to.
        (fits && plain && !name.starts_with('-')).then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BootName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether Bootlace gives out addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhcpMode {
    /// It is the network's DHCP server.
    Server,
    /// Another server gives out addresses; this one tells machines what to boot (proxyDHCP).
    Proxy,
    /// The one or the other, by whether somebody else gives out addresses.
    Auto,
    /// It answers no DHCP at all.
    Off,
}

/// How a proxyDHCP names the boot file to PXE firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyRecipe {
    /// In its offer, with the word that this is all there is to know (option 43, sub-option 6, bit 3).
    Offer,
    /// In an answer on port 4011, to which the offer sends the firmware: for those that miss that word.
    BootServer,
}

impl ProxyRecipe {
    /// Its value in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::BootServer => "4011",
        }
    }

    /// There are two.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Offer => Self::BootServer,
            Self::BootServer => Self::Offer,
        }
    }
}

/// `[dhcp]`.
#[derive(Clone, Debug, PartialEq)]
pub struct DhcpConfig {
    /// Who gives out addresses.
    pub mode: DhcpMode,
    /// Of machines that say nothing else: `None` is the one for their firmware.
    pub proxy: Option<ProxyRecipe>,
    /// NAK what is wrong on this network even when another server may have said it.
    pub authoritative: bool,
    /// Ask the link who is on an address before it is offered for the first time.
    pub probe: bool,
    /// The networks with addresses to give, disjoint.
    pub subnets: Vec<Subnet>,
    /// Options for everybody, below those of subnet, rule and machine.
    pub options: DhcpOptions,
    /// Whose word about a client's subnet is taken.
    pub relays: Relays,
}

/// The relays that are answered, by the address that they put into `giaddr`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relays {
    /// Those with an address in a subnet that is served.
    OfSubnets,
    /// Those in these networks, a single address being one of 32 bits.
    Listed(Vec<Cidr>),
}

/// Wire-ready option values by code.
pub type DhcpOptions = BTreeMap<Code, Vec<u8>>;

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    network: Ipv4Addr,
    prefix: u8,
}

impl Cidr {
    /// The network that holds `address`; `None` for a prefix over 32.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        let mask = mask(prefix)?;
        Some(Self { network: Ipv4Addr::from(u32::from(address) & mask), prefix })
    }

    /// Lowest address.
    pub fn network(self) -> Ipv4Addr {
        self.network
    }

    /// Number of leading one bits.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Netmask, as option 1 carries it.
    pub fn netmask(self) -> Ipv4Addr {
        Ipv4Addr::from(mask(self.prefix).unwrap_or(u32::MAX))
    }

    /// Highest address.
    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) | !u32::from(self.netmask()))
    }

    /// Whether the address lies in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & u32::from(self.netmask()) == u32::from(self.network)
    }
}

fn mask(prefix: u8) -> Option<u32> {
    match prefix {
        0 => Some(0),
        1..=32 => Some(u32::MAX << (32 - prefix)),
        _ => None,
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// Who gets an address in a subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// Everybody who asks.
    All,
    /// Machines of the config only.
    Known,
}

/// `lease = "infinite"`, as option 51 carries it (RFC 2132 section 9.2, RFC 2131 section 3.3).
pub const LEASE_INFINITE: Duration = Duration::from_secs(u32::MAX as u64);

/// `[[dhcp.subnet]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Subnet {
    /// The network.
    pub cidr: Cidr,
    /// Addresses to lend, disjoint, inside the network, without its first and last address.
    pub ranges: Vec<RangeInclusive<Ipv4Addr>>,
    /// Addresses that only some machines get, and those instead of the others; the first entry that holds counts.
    pub ranges_for: Vec<RangesFor>,
    /// Who gets one.
    pub serve: Serve,
    /// Lease time; whole seconds, at most [`LEASE_INFINITE`].
    pub lease: Duration,
    /// Overrides the server address for this subnet.
    pub server: Option<Ipv4Addr>,
    /// Options 3, 6, 15 and `options`, wire-ready.
    pub options: DhcpOptions,
}

impl Subnet {
    /// All addresses to lend, whoever gets them.
    pub fn all_ranges(&self) -> impl Iterator<Item = &RangeInclusive<Ipv4Addr>> {
        self.ranges.iter().chain(self.ranges_for.iter().flat_map(|entry| &entry.ranges))
    }
}

/// An entry of `ranges_for`.
#[derive(Clone, Debug, PartialEq)]
pub struct RangesFor {
    /// Only for machines of the config, or only for others.
    pub standing: Option<Standing>,
    /// Only for machines of which this holds when they get the address.
    pub matches: Match,
    /// Disjoint from all other ranges of the subnet.
    pub ranges: Vec<RangeInclusive<Ipv4Addr>>,
}

/// Whether the config has an entry for a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has.
    Known,
    /// It has none.
    Unknown,
}

/// `[tftp]`.
#[derive(Clone, Debug, PartialEq)]
pub struct TftpConfig {
    /// Whether the service runs.
    pub enabled: bool,
    /// UDP port of requests.
    pub port: u16,
    /// Answer from the request port instead of one port a transfer, for NAT and firewalls.
    pub single_port: bool,
    /// Ports of transfers; `None`: the kernel's choice.
    pub ports: Option<RangeInclusive<u16>>,
}

/// `[http]`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    /// TCP port for machines.
    pub port: u16,
}

/// `sandbox`: whether the server lets the kernel hold it to its own files and to the system calls of a boot server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxMode {
    /// As far as the kernel can.
    Auto,
    /// Not at all.
    Off,
}

/// `[ipxe] ipv6_wait`: iPXE asks for IPv6 routers beside its DHCP and goes on only when one has answered or
/// after some 16 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6Wait {
    /// A booting iPXE is told at once that there is no router here to wait for.
    Skip,
    /// Nothing is said; it waits.
    Keep,
}

/// `[learn]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnConfig {
    /// Whether settings are learned, and what was learned or pinned counts.
    pub enabled: bool,
    /// After how long facts about a machine that was not seen are forgotten; pins are not.
    pub expire: Duration,
}

/// `[admin]`.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminConfig {
    /// Where the API listens beside `state_dir/admin.sock`.
    pub listen: Option<SocketAddr>,
    /// File with the token that peers must show; loopback may read without.
    pub token_file: Option<PathBuf>,
}

/// `[boot.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Boot {
    /// Its name.
    pub name: BootName,
    /// What it shows in menus; the name unless `title` says otherwise.
    pub title: String,
    /// What it does.
    pub kind: BootKind,
    /// Values for templates, below those of rule and machine.
    pub vars: Vars,
    /// What its iPXE must be able to do beside what the kind asks for.
    pub needs: BTreeSet<Feature>,
}

/// Values for templates (`vars.NAME`).
pub type Vars = BTreeMap<String, String>;

/// What a boot does.
#[derive(Clone, Debug, PartialEq)]
pub enum BootKind {
    /// The machine's own disk.
    Local(LocalHow),
    /// A Linux kernel.
    Linux {
        /// The kernel.
        kernel: Location,
        /// Its initial file systems, in order.
        initrd: Vec<Location>,
        /// The command line, split at blanks after rendering.
        cmdline: Template,
        /// The shim of whoever signed the kernel, for Secure Boot.
        shim: Option<Location>,
    },
    /// Another server's script or program.
    Chain {
        /// Where it is.
        url: Template,
    },
    /// A script of the user's.
    Ipxe {
        /// Its text.
        script: Template,
    },
    /// pxelinux and its tree in `boot_dir`.
    Pxelinux(Pxelinux),
    /// An EFI program.
    Efi {
        /// The program.
        file: Location,
    },
    /// A choice on the machine's screen.
    Menu(Menu),
    /// A disk of an external iSCSI target.
    San(San),
    /// A disk of this server's.
    Disk(DiskBoot),
    /// An installation that asks nobody anything.
    Install(Install),
    /// Nothing, until the machine is known.
    Wait,
}

/// `kind = "pxelinux"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pxelinux {
    /// The loader, in `boot_dir` or the distribution's folder.
    pub file: String,
    /// Arguments for the kernels of its tree, as a config can include them.
    pub cmdline: Template,
    /// The console, likewise: port, speed, flow control.
    pub serial: Template,
    /// The heading of its menu, likewise.
    pub menu_title: Template,
}

/// `how` of a `local` boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalHow {
    /// What works best on the firmware at hand.
    Auto,
    /// Leave the loader; the firmware tries its next device.
    Exit,
    /// Start the first disk from iPXE.
    Sanboot,
    /// Start this program from the EFI system partition.
    Efi(String),
    /// No boot file at all: the firmware gives up on the network at once.
    Silence,
}

/// Where a kernel, initrd or program comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Location {
    /// A cleaned name below `boot_dir`.
    File(String),
    /// A URL that the machine fetches itself; a template.
    Url(Template),
}

/// `kind = "menu"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Menu {
    /// Heading.
    pub title: String,
    /// How long to wait for a key; `None`: for ever.
    pub timeout: Option<Duration>,
    /// What can be chosen, in order; never empty.
    pub entries: Vec<BootName>,
    /// What happens after the timeout: one of `entries`.
    pub default: BootName,
}

/// Text that must not be printed, logged or shown: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The clear text, for the one place that must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What machine and rule share: settings that override the default way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// The boot; a rule may only set options or a loader and leave the boot to later rules.
    pub boot: Option<BootName>,
    /// What its firmware fetches first, instead of the iPXE for it.
    pub loader: Option<Loader>,
    /// How a proxy tells its firmware what to boot; without it, the way that most firmware of its kind takes.
    pub proxy: Option<ProxyRecipe>,
    /// Answer this machine's DHCP never.
    pub ignore: bool,
    /// DHCP options.
    pub options: DhcpOptions,
    /// Values for templates.
    pub vars: Vars,
}

/// `[[machine]]`: has a name and at least one of MAC, client identifier, UUID and serial.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Unique among machines; an LDH host name.
    pub name: String,
    /// Its interfaces, unique among machines.
    pub macs: Vec<Mac>,
    /// What it calls itself in DHCP, unique among machines.
    pub client_id: Option<ClientId>,
    /// SMBIOS UUID, in whichever byte order the user wrote it.
    pub uuid: Option<Uuid>,
    /// SMBIOS serial; compared without case.
    pub serial: Option<String>,
    /// Reservation, lent to nobody else. It belongs to the first interface that asks, until that lease ends.
    pub address: Option<Ipv4Addr>,
    /// Its settings.
    pub overrides: Overrides,
}

/// `[[rule]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its place in the file, from 1: how trails name it.
    pub number: usize,
    /// When it holds.
    pub matches: Match,
    /// What it sets.
    pub overrides: Overrides,
}
