//! `/api/v1/overlays` and `/api/v1/images`: the disks of machines.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bootlace_core::boot::disk::DiskId;
use bootlace_core::config::BootName;
use bootlace_disk::Error;
use serde::Deserialize;

use super::{Admin, Failure, read};
use crate::api::{ImageView, OverlayView};
use crate::services::iscsi::{MachineDisks, Release, Reset};

fn disks(admin: &Admin) -> Result<Arc<MachineDisks>, Failure> {
    admin.disks.clone().ok_or_else(|| Failure::conflict("no boot of this config had a disk at the start"))
}

/// All of them.
pub(super) async fn overlays(State(admin): State<Admin>) -> Result<Json<Vec<OverlayView>>, Failure> {
    read(admin, |admin| disks(admin)?.overlays().map_err(|error| unreadable(&error))).await
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

impl Which {
    fn id(&self) -> Result<DiskId, Failure> {
        let boot = BootName::new(&self.boot).ok_or_else(|| Failure::bad("this is no name of a boot"))?;
        Ok(DiskId::new(&self.machine, &boot))
    }
}

fn unreadable(error: &Error) -> Failure {
    Failure::conflict(&format!("the disks of machines cannot be looked at: {error}"))
}

fn in_use(machine: &str) -> Failure {
    Failure::conflict(&format!("{machine} has its disk in use: switch it off first"))
}

/// Drops what a machine has written; the next boot finds a fresh disk.
pub(super) async fn reset(State(admin): State<Admin>, Json(which): Json<Which>) -> Result<String, Failure> {
    let id = which.id()?;
    let Which { machine, boot } = which;
    let said = read(admin, move |admin| match disks(admin)?.reset(&id) {
        Ok(Reset::Done) => Ok(format!("{machine} finds a fresh disk when it boots {boot}\n")),
        Ok(Reset::Absent) => Err(Failure::absent(&format!("{machine} has written nothing for {boot}"))),
        Ok(Reset::InUse) => Err(in_use(&machine)),
        Err(error) => Err(unreadable(&error)),
    });
    said.await.map(|Json(text)| text)
}

/// Closes the files of a machine's disk, so that a command may open them. A server without disks has none open.
pub(super) async fn release(State(admin): State<Admin>, Json(which): Json<Which>) -> Result<String, Failure> {
    let id = which.id()?;
    let machine = which.machine;
    let said = read(admin, move |admin| match admin.disks.as_ref().map(|disks| disks.release(&id)) {
        None | Some(Release::Done) => Ok(format!("nobody has the disk of {machine} open\n")),
        Some(Release::InUse) => Err(in_use(&machine)),
        Some(Release::InMemory) => {
            Err(Failure::conflict(&format!("the disk of {machine} is in the server's memory (mode ram)")))
        }
    });
    said.await.map(|Json(text)| text)
}
