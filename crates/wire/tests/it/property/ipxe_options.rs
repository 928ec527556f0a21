//! Option 175: what is read of it is all that there is to it; written again it means the same.

use bootlace_wire::dhcp::{Feature, Ipxe};

const VERSION: u8 = 235;
const BUS_ID: u8 = 177;

pub(crate) fn check(bytes: &[u8]) {
    let Some(ipxe) = Ipxe::parse(bytes) else { return };
    let features: Vec<(Feature, u8)> = ipxe.features().collect();
    // A marker takes three bytes.
    assert!(features.len() <= Feature::ALL.len().min(bytes.len() / 3));
    for (feature, value) in &features {
        assert_eq!(ipxe.value(*feature), Some(*value), "each feature is there once");
        assert_eq!(ipxe.has(*feature), *value != 0);
    }
    let mut again: Vec<u8> =
        features.iter().flat_map(|(feature, value)| [feature.tag(), 1, *value]).collect();
    if let Some([major, minor, patch]) = ipxe.version {
        again.extend([VERSION, 3, major, minor, patch]);
    }
    if let Some(bus) = ipxe.bus {
        again.extend([BUS_ID, 5, bus.kind]);
        again.extend(bus.vendor.to_be_bytes());
        again.extend(bus.device.to_be_bytes());
    }
    assert_eq!(Ipxe::parse(&again), Some(ipxe));
}
