//! What the doctor finds: a closed list.

macro_rules! codes {
    ($($variant:ident $name:literal $meaning:literal,)*) => {
        /// A kind of finding. The names are stable: scripts and documents use them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The kebab-case name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What is the case.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                }
            }
        }
    };
}

codes! {
    InterfaceNone "interface-none" "No interface of this host fits the config.",
    InterfaceChoice "interface-choice" "Several interfaces could be served, and the config names none.",
    InterfaceMissing "interface-missing" "An interface of the config is not there.",
    InterfaceDown "interface-down" "An interface is switched off.",
    InterfaceNoCable "interface-no-cable" "Nobody is on the other end of an interface.",
    InterfaceNoAddress "interface-no-address" "An interface has no IPv4 address.",
    AddressLent "address-lent" "An address of this host lies in a range that is lent to machines.",
    MacvlanChild "macvlan-child" "Machines behind a macvtap or macvlan cannot reach the interface that it is on.",
    ReversePath "rp-filter" "The kernel drops packets of machines as forged, since its way back to them is another interface.",
    PortTaken "port-taken" "Another program has a port that Bootlace needs.",
    FirewallDrops "firewall-drops" "A firewall rule of this host keeps machines from Bootlace.",
    FirewallUnread "firewall-unread" "There are firewall rules that the doctor cannot judge.",
    ForeignServer "foreign-dhcp-server" "Another DHCP server gives out addresses on the network.",
    ForeignProxy "foreign-dhcp-proxy" "Another server tells firmware what to boot.",
    NoServer "dhcp-server-none" "A proxy, and no DHCP server that it is the proxy of.",
    Unheard "network-unheard" "The network could not be listened to.",
    BootDirMissing "boot-dir-missing" "`boot_dir` or a folder of `follow` cannot be opened.",
    LoaderMissing "loader-missing" "There is no loader for a common firmware, or not the one that the config names.",
    SpaceLow "space-low" "A disk is nearly full.",
    DiskReadOnly "disk-read-only" "Leases cannot be written.",
    ClockWrong "clock-wrong" "The clock shows a time that has been already.",
    ClockUnset "clock-not-synchronised" "The time service has not reached its server yet.",
    NoRandomness "vm-no-rng" "The UEFI of a virtual machine has no source of random numbers, and newer ones do not boot from the network without.",
}
