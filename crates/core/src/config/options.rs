//! `options` tables: DHCP options by number or name.

use bootlace_wire::dhcp::Code;
use bootlace_wire::dhcp::typed::encode_option;

use super::file::{Table, Value};
use super::report::{At, Report};
use super::types::DhcpOptions;
use crate::finding::Finding;
use crate::nearest::nearest;

/// Whom the options of a table reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Everybody, or everybody in a subnet: also firmware.
    Everybody,
    /// The machines that a rule or machine entry names.
    Chosen,
}

/// Reads the `options` of a table.
pub(super) fn options(table: &Table<'_>, reach: Reach, report: &mut Report<'_>) -> DhcpOptions {
    let mut options = DhcpOptions::new();
    let Some(entries) = table.get("options").and_then(|value| value.table(report)) else {
        return options;
    };
    for (key, value) in entries.entries() {
        let Some(code) = code(&key, report) else { continue };
        if code == Code::VENDOR && reach == Reach::Everybody {
            let message = "option 43 also reaches PXE firmware, which reads boot instructions in it";
            let fix = "set it on a [[rule]] that matches only the devices that need it";
            report.add(Finding::warning("config-option-43", message).fix(fix), &key.span);
        }
        let Some(bytes) = encoded(code, &value, report) else { continue };
        if options.insert(code, bytes).is_some() {
            let message = format!("option {} is set twice in this table", code.0);
            report.add(Finding::error("config-duplicate", message).fix("keep one of them"), &key.span);
        }
    }
    options
}

/// Adds the options that have keys of their own, such as `router`.
pub(super) fn add_own(
    options: &mut DhcpOptions,
    key: &str,
    code: Code,
    value: Vec<u8>,
    table: &Table<'_>,
    report: &mut Report<'_>,
) {
    if value.is_empty() {
        return;
    }
    if options.insert(code, value).is_some() {
        let message = format!("option {} is set by `{key}` and again in `options`", code.0);
        let span = table.get("options").map_or(0..0, |value| value.span);
        report.add(Finding::error("config-duplicate", message).fix("keep one of them"), &span);
    }
}

fn code(key: &At<&str>, report: &mut Report<'_>) -> Option<Code> {
    let by_number = key.value.parse::<u64>().ok().map(|number| u8::try_from(number).map(Code));
    let code = match by_number {
        Some(Ok(code)) => code,
        Some(Err(_)) => {
            let message = format!("there is no DHCP option {}", key.value);
            report.add(Finding::error("config-value", message).fix("options are 1 to 254"), &key.span);
            return None;
        }
        None => match Code::by_name(key.value) {
            Some(code) => code,
            None => {
                let fix = match nearest(key.value, Code::known().filter_map(Code::name)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "write its number".to_owned(),
                };
                let message = format!("no DHCP option is called `{}`", key.value.escape_debug());
                report.add(Finding::error("config-unknown-key", message).fix(fix), &key.span);
                return None;
            }
        },
    };
    match owned(code) {
        None => Some(code),
        Some(fix) => {
            let message = format!("Bootlace sets DHCP option {} itself", code.0);
            report.add(Finding::error("config-option-owned", message).fix(fix), &key.span);
            None
        }
    }
}

fn encoded(code: Code, value: &Value<'_>, report: &mut Report<'_>) -> Option<Vec<u8>> {
    let items = value.items();
    let texts: Vec<_> = items.iter().filter_map(|item| item.scalar(report)).collect();
    if texts.len() < items.len() {
        return None;
    }
    let text = texts.iter().map(|text| text.value.as_str()).collect::<Vec<_>>().join(",");
    match encode_option(code, &text) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            report.add(Finding::error("config-value", format!("option {code}: {error}")), &value.span);
            None
        }
    }
}

/// Options that a config may not set, and what to do instead. Most are part of the protocol itself (RFC 2131
/// section 4.3); the rest decide what a machine boots, which is for boots, rules and `loader` to say.
fn owned(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::PAD | Code::END => "it marks the end of a packet's options; remove it",
        Code::SUBNET_MASK | Code::BROADCAST => "it follows from `subnet`; remove it",
        Code::LEASE_TIME | Code::T1 | Code::T2 => "use `lease` of the subnet",
        Code::OVERLOAD => "remove it: iPXE cannot read overloaded packets",
        Code::SERVER_ID => "use `server`",
        Code::MESSAGE_TYPE | Code::MESSAGE => "it is part of the protocol; remove it",
        // EDK2 takes it for the size of the file and skips asking.
        Code::BOOT_FILE_SIZE => "remove it: firmware asks for the size itself",
        Code::TFTP_SERVER | Code::TFTP_SERVERS => "use `server`",
        Code::BOOT_FILE => "use `boot`, or `loader` for the first program that firmware fetches",
        Code::VENDOR_CLASS => "remove it: with it UEFI firmware waits for a proxy that is not there",
        Code::IPXE => "remove it: what iPXE gets follows from the boot",
        Code::ISCSI_INITIATOR => "use `initiator` of a boot of kind `san`",
        Code::REQUESTED_IP
        | Code::PARAMETER_LIST
        | Code::MAX_SIZE
        | Code::CLIENT_ID
        | Code::USER_CLASS
        | Code::RAPID_COMMIT
        | Code::FQDN
        | Code::RELAY_INFO
        | Code::ARCH
        | Code::UNDI
        | Code::UUID
        | Code::SUBNET_SELECTION => "it is for clients to send, or an echo of what they sent; remove it",
        _ => return None,
    })
}
