//! Option codes, their names and the types of their values: one table.

use std::fmt;

use super::typed::OptionType;

/// The number of an option.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u8);

impl Code {
    /// Padding between options, without a length. Not an option.
    pub const PAD: Self = Self(0);
    /// The end of the options. Not an option.
    pub const END: Self = Self(255);

    /// The name that dnsmasq uses, or a plain one where it has none; `None` for codes without a meaning here.
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|row| row.name)
    }

    /// Finds an option by name in either case: ours, or what ISC dhcpd and common speech call it.
    pub fn by_name(name: &str) -> Option<Self> {
        let rows = TABLE.iter().map(|row| (row.name, row.code));
        rows.chain(ALIASES.iter().copied()).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, code)| code)
    }

    /// Every option that has a name, by number.
    pub fn known() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.code)
    }

    pub(super) fn option_type(self) -> Option<OptionType> {
        self.row().map(|row| row.kind)
    }

    fn row(self) -> Option<&'static Row> {
        TABLE.binary_search_by_key(&self, |row| row.code).ok().and_then(|at| TABLE.get(at))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct Row {
    code: Code,
    name: &'static str,
    kind: OptionType,
}

macro_rules! table {
    ($($code:literal $ident:ident $name:literal $kind:ident,)*) => {
        impl Code {
            $(#[doc = concat!("Option ", $code, ", `", $name, "`.")] pub const $ident: Self = Self($code);)*
        }
        /// Sorted by code.
        static TABLE: &[Row] =
            &[$(Row { code: Code::$ident, name: $name, kind: OptionType::$kind },)*];
    };
}

table! {
    1 SUBNET_MASK "netmask" Ip,
    2 TIME_OFFSET "time-offset" I32,
    3 ROUTER "router" Ips,
    4 TIME_SERVER "time-server" Ips,
    5 NAME_SERVER "ien116-server" Ips,
    6 DNS "dns-server" Ips,
    7 LOG_SERVER "log-server" Ips,
    9 LPR_SERVER "lpr-server" Ips,
    12 HOSTNAME "hostname" Text,
    13 BOOT_FILE_SIZE "boot-file-size" U16,
    15 DOMAIN "domain-name" Text,
    16 SWAP_SERVER "swap-server" Ip,
    17 ROOT_PATH "root-path" Text,
    18 EXTENSIONS_PATH "extension-path" Text,
    19 IP_FORWARD "ip-forward-enable" Bool,
    20 SOURCE_ROUTING "non-local-source-routing" Bool,
    21 POLICY_FILTER "policy-filter" IpPairs,
    22 MAX_REASSEMBLY "max-datagram-reassembly" U16,
    23 DEFAULT_TTL "default-ttl" U8,
    26 MTU "mtu" U16,
    27 ALL_SUBNETS_LOCAL "all-subnets-local" Bool,
    28 BROADCAST "broadcast" Ip,
    31 ROUTER_DISCOVERY "router-discovery" Bool,
    32 ROUTER_SOLICITATION "router-solicitation" Ip,
    33 STATIC_ROUTE "static-route" IpPairs,
    34 TRAILERS "trailer-encapsulation" Bool,
    35 ARP_TIMEOUT "arp-timeout" U32,
    36 ETHERNET_ENCAP "ethernet-encap" Bool,
    37 TCP_TTL "tcp-ttl" U8,
    38 TCP_KEEPALIVE "tcp-keepalive" U32,
    40 NIS_DOMAIN "nis-domain" Text,
    41 NIS_SERVER "nis-server" Ips,
    42 NTP "ntp-server" Ips,
    43 VENDOR "vendor-encap" Hex,
    44 NETBIOS_NS "netbios-ns" Ips,
    45 NETBIOS_DD "netbios-dd" Ips,
    46 NETBIOS_NODE_TYPE "netbios-nodetype" U8,
    47 NETBIOS_SCOPE "netbios-scope" Text,
    48 X_FONT_SERVER "x-windows-fs" Ips,
    49 X_DISPLAY_MANAGER "x-windows-dm" Ips,
    50 REQUESTED_IP "requested-address" Ip,
    51 LEASE_TIME "lease-time" U32,
    52 OVERLOAD "option-overload" U8,
    53 MESSAGE_TYPE "message-type" U8,
    54 SERVER_ID "server-identifier" Ip,
    55 PARAMETER_LIST "parameter-request" Hex,
    56 MESSAGE "message" Text,
    57 MAX_SIZE "max-message-size" U16,
    58 T1 "t1" U32,
    59 T2 "t2" U32,
    60 VENDOR_CLASS "vendor-class" Text,
    61 CLIENT_ID "client-id" Hex,
    64 NISPLUS_DOMAIN "nis+-domain" Text,
    65 NISPLUS_SERVER "nis+-server" Ips,
    66 TFTP_SERVER "tftp-server" Text,
    67 BOOT_FILE "bootfile-name" Text,
    68 MOBILE_IP_HOME "mobile-ip-home" Ips,
    69 SMTP_SERVER "smtp-server" Ips,
    70 POP3_SERVER "pop3-server" Ips,
    71 NNTP_SERVER "nntp-server" Ips,
    72 WWW_SERVER "www-server" Ips,
    74 IRC_SERVER "irc-server" Ips,
    77 USER_CLASS "user-class" Hex,
    80 RAPID_COMMIT "rapid-commit" Hex,
    81 FQDN "fqdn" Hex,
    82 RELAY_INFO "agent-info" Hex,
    93 ARCH "client-arch" Hex,
    94 UNDI "client-interface-id" Hex,
    97 UUID "client-machine-id" Hex,
    100 POSIX_TIMEZONE "posix-timezone" Text,
    101 TZDB_TIMEZONE "tzdb-timezone" Text,
    108 IPV6_ONLY "ipv6-only" U32,
    114 CAPTIVE_PORTAL "captive-portal" Text,
    116 AUTO_CONFIGURE "auto-configure" Bool,
    118 SUBNET_SELECTION "subnet-select" Ip,
    119 DOMAIN_SEARCH "domain-search" Domains,
    120 SIP_SERVER "sip-server" Hex,
    121 CLASSLESS_ROUTES "classless-static-route" Routes,
    124 VENDOR_ID_CLASS "vendor-id-class" Hex,
    125 VENDOR_ID_ENCAP "vendor-id-encap" Hex,
    138 CAPWAP "capwap-server" Ips,
    150 TFTP_SERVERS "tftp-server-address" Ips,
    175 IPXE "ipxe-encap" Hex,
    203 ISCSI_INITIATOR "iscsi-initiator" Text,
    208 PXELINUX_MAGIC "pxelinux-magic" Hex,
    209 PXELINUX_CONFIG "pxelinux-config" Text,
    210 PXELINUX_PREFIX "pxelinux-prefix" Text,
    211 PXELINUX_REBOOT "pxelinux-reboot-time" U32,
    249 MS_ROUTES "ms-static-route" Routes,
    252 WPAD "wpad" Text,
}

/// What ISC dhcpd and people call some of the same options.
static ALIASES: &[(&str, Code)] = &[
    ("subnet-mask", Code::SUBNET_MASK),
    ("routers", Code::ROUTER),
    ("gateway", Code::ROUTER),
    ("dns", Code::DNS),
    ("domain-name-servers", Code::DNS),
    ("log-servers", Code::LOG_SERVER),
    ("host-name", Code::HOSTNAME),
    ("domain", Code::DOMAIN),
    ("interface-mtu", Code::MTU),
    ("broadcast-address", Code::BROADCAST),
    ("ntp", Code::NTP),
    ("ntp-servers", Code::NTP),
    ("vendor-encapsulated-options", Code::VENDOR),
    ("netbios-name-servers", Code::NETBIOS_NS),
    ("netbios-node-type", Code::NETBIOS_NODE_TYPE),
    ("vendor-class-identifier", Code::VENDOR_CLASS),
    ("tftp-server-name", Code::TFTP_SERVER),
    ("bootfile", Code::BOOT_FILE),
    ("pcode", Code::POSIX_TIMEZONE),
    ("tcode", Code::TZDB_TIMEZONE),
    ("search", Code::DOMAIN_SEARCH),
    ("rfc3442-classless-static-routes", Code::CLASSLESS_ROUTES),
    ("capwap-ac-v4", Code::CAPWAP),
    ("tftp-servers", Code::TFTP_SERVERS),
    ("configfile", Code::PXELINUX_CONFIG),
    ("pathprefix", Code::PXELINUX_PREFIX),
    ("reboottime", Code::PXELINUX_REBOOT),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_names_are_unique() {
        assert!(TABLE.is_sorted_by(|a, b| a.code < b.code));
        let mut names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
        names.extend(ALIASES.iter().map(|(name, _)| name));
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b), "a name stands for two options");
    }

    #[test]
    fn names_lead_back_to_their_codes() {
        for code in Code::known() {
            assert_eq!(code.name().and_then(Code::by_name), Some(code));
        }
        assert_eq!(Code::by_name("T1"), Some(Code::T1));
        assert_eq!(Code::by_name("domain-name-servers"), Some(Code::DNS));
        assert_eq!(Code::by_name("no-such-option"), None);
        assert_eq!(Code(224).name(), None);
        assert_eq!((Code::DNS.to_string(), Code(224).to_string()), ("6 dns-server".into(), "224".into()));
    }
}
