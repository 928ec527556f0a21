//! Why each finding stops a machine, and what to do about it.

use crate::finding::FindingCode as C;

/// Cause and fix.
#[rustfmt::skip]
pub(crate) fn entry(code: C) -> (&'static str, &'static str) {
    match code {
        C::NoOffer => (
            "No DHCP server heard the request, serves this network, or wants to serve this machine.",
            "Look whether a DHCP server runs on this segment or a relay leads to one, and whether it has a free address for this MAC.",
        ),
        C::NoAddress => (
            "A machine needs an address before it can fetch anything; a ProxyDHCP server gives none.",
            "Run a DHCP server beside the proxy, or let the server that offers give addresses of this network.",
        ),
        C::OfferUnusable => (
            "The firmware drops offers that lack what it needs.",
            "Let the server send options 53 and 54 and an address, and boot data that fits the client's class.",
        ),
        C::NoAck => (
            "The server offered an address and does not commit to it.",
            "Look into the server's log for this MAC; an unwritable lease file is a common reason.",
        ),
        C::Refused => (
            "The server refused the address that was offered.",
            "Read the server's log: another machine may have got the address meanwhile, or a second DHCP server may claim this network.",
        ),
        C::AckDiffers => (
            "EDK2 declines such a lease and iPXE fails.",
            "Look for two DHCP servers that share an address.",
        ),
        C::NoNetmask => (
            "EDK2 takes no lease without a netmask.",
            "Let the DHCP server send option 1.",
        ),
        C::NoBootFile => (
            "Firmware that is given no boot file goes on with its next boot device.",
            "Name a boot file for this class of client, or run a ProxyDHCP server that does.",
        ),
        C::NoBootServer => (
            "Neither siaddr nor option 66 nor 54 says where the boot file is.",
            "Set next-server (siaddr) to the TFTP server's address.",
        ),
        C::BootServerSilent => (
            "An offer with vendor class PXEClient and no boot menu sends the client to UDP port 4011 for its boot file.",
            "Let the PXE server listen on port 4011 and open it in the firewall, or leave option 60 out of the offers of a plain DHCP server.",
        ),
        C::NotHttpUrl => (
            "UEFI HTTP Boot wants an absolute http:// URL in option 67 of the offer.",
            "Give clients of class HTTPClient a URL.",
        ),
        C::TftpSilent => (
            "No packet came back from UDP port 69 of the server.",
            "Check next-server, that a TFTP server runs there, and that no firewall drops its answers, which come from other ports.",
        ),
        C::TftpStalled => (
            "Packets stopped arriving in the middle of the file.",
            "Look for packet loss or a path with a smaller MTU than the block size.",
        ),
        C::TftpNotFound => (
            "The name that DHCP or a loader gave is no file there.",
            "Put the file there or correct the name; case and folders count.",
        ),
        C::TftpRefused => (
            "The TFTP server does not give the file out.",
            "Look into the server's log; permissions of the file are a common reason.",
        ),
        C::TftpOptions => (
            "Boot firmware ends a transfer whose options are not as it asked.",
            "Use a TFTP server that keeps to RFC 2347: grant only what was asked, never more, and tsize when asked.",
        ),
        C::TftpSize => (
            "Firmware makes room for the announced size and fails when the file differs.",
            "Look whether the file was changed while it was served, and what fills the server's cache.",
        ),
        C::UrlUnknown => (
            "The loader has no protocol of that name.",
            "Use http:// or tftp://, or a loader that has the protocol.",
        ),
        C::DnsMissing => (
            "The machine has no name server to look the host up.",
            "Send option 6, or use an address in the URL.",
        ),
        C::DnsFailed => (
            "Without its address the host cannot be reached.",
            "Put the name into the DNS that DHCP announces, or use an address in the URL.",
        ),
        C::HttpUnreachable => (
            "No TCP connection could be made.",
            "Check that the HTTP server runs and listens on that address and port, and that no firewall is between.",
        ),
        C::HttpSilent => (
            "The server accepted the connection and sent nothing, or stopped.",
            "Look into the HTTP server's log; a hanging backend is a common reason.",
        ),
        C::HttpBroken => (
            "What listens there does not speak HTTP/1.1.",
            "Check the port of the URL.",
        ),
        C::HttpStatus => (
            "The server has no such file or does not give it out.",
            "Put the file there or correct the URL.",
        ),
        C::HttpRedirect => (
            "UEFI HTTP Boot follows no redirects.",
            "Give it the final URL.",
        ),
        C::HttpNoLength => (
            "UEFI HTTP Boot needs Content-Length to make room for the file.",
            "Serve a plain file, or let the server send Content-Length for HEAD and GET.",
        ),
        C::HttpShort => (
            "The connection closed before the whole file had come.",
            "Look into the HTTP server's log; a full disk of a proxy or a crashed script are common reasons.",
        ),
        C::FileEmpty => (
            "There is nothing to run.",
            "Look how the file came there: a failed copy leaves such files.",
        ),
        C::LoaderLoop => (
            "The server does not tell the loader from the firmware, and sends it itself again.",
            "Give clients with user class iPXE (option 77) or option 175 a script instead of the loader.",
        ),
        C::ScriptNotOne => (
            "iPXE runs scripts that begin with #!ipxe, and programs and kernels of its platform.",
            "Begin the script with #!ipxe; look whether an error page came instead of it.",
        ),
        C::ScriptCommand => (
            "iPXE ends a script at a command that it does not have.",
            "Correct the command, or follow it by || where a build may lack it.",
        ),
        C::ScriptArguments => (
            "iPXE ends a script at a command whose arguments it cannot read.",
            "Correct the arguments.",
        ),
        C::ScriptLabel => (
            "goto fails without its label, and the script ends.",
            "Add the label or correct its name.",
        ),
        C::ScriptFailed => (
            "A failed command that no || follows ends the script.",
            "Mend what fails, or give the script a way out.",
        ),
        C::ScriptLoop => (
            "The machine fetches the same scripts over and over.",
            "Let the script that is chained to lead on to a boot, not back.",
        ),
        C::ScriptEmpty => (
            "iPXE then has nothing to boot.",
            "End the script with boot, chain, sanboot or exit.",
        ),
        C::SanTarget => (
            "iPXE cannot attach a disk whose URI it cannot read (RFC 4173).",
            "Write iscsi:SERVER:PROTOCOL:PORT:LUN:TARGET.",
        ),
        C::ConfigMissing => (
            "The loader waits at a prompt or gives up.",
            "Put a config at one of the names that it asks for.",
        ),
        C::ConfigUseless => (
            "The loader has nothing to start.",
            "Give the config a default entry with a kernel.",
        ),
        C::TooLong => (
            "Something leads in circles or never ends.",
            "Read the steps: what repeats is what to mend.",
        ),
    }
}
