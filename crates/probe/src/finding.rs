//! What would stop a machine: the closed list of things that go wrong on the way to a boot.

use std::fmt;

macro_rules! codes {
    ($($variant:ident $name:literal $doc:literal,)*) => {
        /// What went wrong. The names are stable: scripts and documents use them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingCode {
            $(#[doc = $doc] $variant,)*
        }

        impl FindingCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The kebab-case name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

codes! {
    NoOffer "dhcp-no-offer" "Nobody answered DISCOVER.",
    NoAddress "dhcp-no-address" "Only offers without an address came.",
    OfferUnusable "dhcp-offer-unusable" "Offers came that this client throws away.",
    NoAck "dhcp-no-ack" "REQUEST was not answered.",
    Refused "dhcp-refused" "REQUEST was answered by NAK.",
    AckDiffers "dhcp-ack-differs" "ACK gives another address than the offer.",
    NoNetmask "dhcp-no-netmask" "ACK has no option 1, without which EDK2 gives up.",
    NoBootFile "boot-file-none" "No offer names a boot file.",
    NoBootServer "boot-server-none" "A boot file without a server to fetch it from.",
    BootServerSilent "boot-server-silent" "Port 4011 of the boot server does not answer.",
    NotHttpUrl "boot-file-no-url" "UEFI HTTP Boot was given something else than an http URL.",
    TftpSilent "tftp-silent" "The TFTP server does not answer.",
    TftpStalled "tftp-stalled" "The TFTP server fell silent during the transfer.",
    TftpNotFound "tftp-file-missing" "The TFTP server has no such file.",
    TftpRefused "tftp-refused" "The TFTP server sent an error.",
    TftpOptions "tftp-options" "The TFTP server granted what this client did not ask for, or not what it needs.",
    TftpSize "tftp-size-differs" "The file is not as long as the TFTP server said.",
    UrlUnknown "url-unsupported" "A URL that this client cannot fetch.",
    DnsMissing "dns-server-none" "A URL with a host name and no name server to ask.",
    DnsFailed "dns-name-unknown" "The name server does not know the name or does not answer.",
    HttpUnreachable "http-unreachable" "The HTTP server does not take connections.",
    HttpSilent "http-silent" "The HTTP server took the connection and does not answer.",
    HttpBroken "http-broken" "What the HTTP server sent is no HTTP answer.",
    HttpStatus "http-status" "The HTTP server answered with an error.",
    HttpRedirect "http-redirect" "The HTTP server redirects, which this client does not follow.",
    HttpNoLength "http-no-length" "The HTTP answer does not tell its length, which this client needs.",
    HttpShort "http-short" "The HTTP answer ended before its announced length.",
    FileEmpty "file-empty" "A file that should boot has no bytes.",
    LoaderLoop "loader-loop" "A loader is told to load itself again.",
    ScriptNotOne "script-unknown-image" "iPXE was given a file that it can neither run nor boot.",
    ScriptCommand "script-command-unknown" "A script uses a command that iPXE does not have.",
    ScriptArguments "script-arguments" "A script gives a command arguments that it does not take.",
    ScriptLabel "script-label-missing" "A script jumps to a label that it does not have.",
    ScriptFailed "script-failed" "A command of a script fails.",
    ScriptLoop "script-loop" "A script leads back to itself without end.",
    ScriptEmpty "script-nothing" "A script ends without booting anything.",
    SanTarget "san-target" "A SAN disk whose URI cannot be read.",
    ConfigMissing "loader-config-missing" "A loader finds none of its configs.",
    ConfigUseless "loader-config-useless" "A loader's config has nothing that boots.",
    TooLong "boot-endless" "The boot does not end within the limits of a played one.",
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The machine does not boot.
    Error,
    /// The machine boots, but not as it should.
    Warning,
}

impl Severity {
    /// In lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub code: FindingCode,
    /// How much it matters.
    pub severity: Severity,
    /// What is the case, in one line.
    pub message: String,
    /// What shows it: a packet, a name, a line.
    pub evidence: String,
    /// Why that stops the machine.
    pub cause: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

impl Finding {
    /// An error with the catalogue's cause and fix.
    pub(crate) fn new(code: FindingCode, message: impl Into<String>, evidence: impl Into<String>) -> Self {
        let (cause, fix) = crate::catalogue::entry(code);
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            evidence: evidence.into(),
            cause,
            fix,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        if !self.evidence.is_empty() {
            write!(f, " ({})", self.evidence)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own_a_cause_and_a_fix() {
        let names: BTreeSet<_> = FindingCode::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), FindingCode::ALL.len());
        for code in FindingCode::ALL {
            let (cause, fix) = crate::catalogue::entry(*code);
            assert!(cause.ends_with('.') && fix.ends_with('.'), "{code}");
        }
    }
}
