//! `/api/v1/overlays` and `/api/v1/images`: the disks of machines.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bootlace_core::boot::disk::DiskId;
use bootlace_core::config::BootName;
use serde::Deserialize;

use super::{Admin, Failure, read};
use crate::api::{ImageView, OverlayView};
use crate::services::iscsi::{MachineDisks, Reset, told};

fn disks(admin: &Admin) -> Result<Arc<MachineDisks>, Failure> {
    admin.disks.clone().ok_or_else(|| Failure::conflict("no boot of this config had a disk at the start"))
}

/// All of them.
pub(super) async fn overlays(State(admin): State<Admin>) -> Result<Json<Vec<OverlayView>>, Failure> {
    read(admin, |admin| disks(admin)?.overlays().map_err(|error| Failure::conflict(&told(&error)))).await
}

/// The images that are known.
pub(super) async fn images(State(admin): State<Admin>) -> Result<Json<Vec<ImageView>>, Failure> {
    Ok(Json(disks(&admin)?.images()))
}

/// A machine's disk for a boot.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    machine: String,
    boot: String,
}

/// Drops what a machine has written; the next boot finds a fresh disk.
pub(super) async fn reset(State(admin): State<Admin>, Json(which): Json<Which>) -> Result<String, Failure> {
    let Which { machine, boot } = which;
    let name = BootName::new(&boot).ok_or_else(|| Failure::bad("this is no name of a boot"))?;
    let id = DiskId::new(&machine, &name);
    let said = read(admin, move |admin| match disks(admin)?.reset(&id) {
        Ok(Reset::Done) => Ok(format!("{machine} finds a fresh disk when it boots {boot}\n")),
        Ok(Reset::Absent) => Err(Failure::absent(&format!("{machine} has written nothing for {boot}"))),
        Ok(Reset::InUse) => {
            Err(Failure::conflict(&format!("{machine} has its disk in use: switch it off first")))
        }
        Err(error) => Err(Failure::conflict(&told(&error))),
    });
    said.await.map(|Json(text)| text)
}
