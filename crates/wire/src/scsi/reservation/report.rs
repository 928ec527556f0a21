//! PERSISTENT RESERVE IN (SPC-4 section 6.15).

use super::super::command::PersistentIn;
use super::{Registration, Reservation, Reservations};

impl Reservations {
    /// The parameter data of one service action, whole.
    pub(in super::super) fn report(&self, action: PersistentIn) -> Vec<u8> {
        match action {
            PersistentIn::ReadKeys => {
                self.list(self.registrations.iter().flat_map(|known| known.key.to_be_bytes()).collect())
            }
            PersistentIn::ReadReservation => self.list(
                self.persistent.as_ref().map(|reservation| self.reservation(reservation)).unwrap_or_default(),
            ),
            PersistentIn::ReportCapabilities => capabilities(),
            PersistentIn::ReadFullStatus => {
                self.list(self.registrations.iter().flat_map(|known| self.full_status(known)).collect())
            }
        }
    }

    /// PRGENERATION, the length of what follows, and that.
    fn list(&self, body: Vec<u8>) -> Vec<u8> {
        let mut bytes = self.generation.to_be_bytes().to_vec();
        bytes.extend((body.len() as u32).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn reservation(&self, reservation: &Reservation) -> Vec<u8> {
        // What all hold has nobody's key.
        let of_one = !reservation.kind.is_of_all();
        let key = if of_one { self.key_of(&reservation.holder).unwrap_or(0) } else { 0 };
        let mut bytes = key.to_be_bytes().to_vec();
        bytes.resize(16, 0);
        bytes[13] = reservation.kind as u8; // of the whole logical unit: SCOPE is zero
        bytes
    }

    fn full_status(&self, known: &Registration) -> Vec<u8> {
        const R_HOLDER: u8 = 0x01;
        const RELATIVE_PORT: u8 = 1;
        let mut bytes = known.key.to_be_bytes().to_vec();
        bytes.resize(24, 0);
        if let Some(reservation) = self.persistent.as_ref().filter(|_| self.holds(&known.port)) {
            bytes[12] = R_HOLDER;
            bytes[13] = reservation.kind as u8;
        }
        bytes[19] = RELATIVE_PORT;
        let port = known.port.transport_id();
        bytes[20..24].copy_from_slice(&(port.len() as u32).to_be_bytes());
        bytes.extend(port);
        bytes
    }
}

/// All types there are, and none of what is optional: no APTPL, no SPEC_I_PT, no ALL_TG_PT.
fn capabilities() -> Vec<u8> {
    const TYPE_MASK_VALID: u8 = 0x80;
    const ALL_BUT_THE_NEXT: u8 = 0xea;
    const EXCLUSIVE_ACCESS_ALL: u8 = 0x01;
    vec![0, 8, 0, TYPE_MASK_VALID, ALL_BUT_THE_NEXT, EXCLUSIVE_ACCESS_ALL, 0, 0]
}
