//! Disks of machines for commands, which look at the files themselves: the server is shut in and writes no images.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bootlace_core::boot::disk::{DiskId, Unnamed};
use bootlace_core::config::{BootKind, Config};
use bootlace_disk::{Disk, Error, Generations, HostBoot};

use super::images::Images;
use super::machine_disks::{MANIFESTS, OVERLAYS};

/// The longest that images are read through to find the one that a disk lies over.
const IMAGES_TIME: Duration = Duration::from_secs(24 * 3600);

/// What a machine has written over its image, as one disk. No machine gets it for as long as it is open, nor may one have
/// it: see [`super::MachineDisks::release`].
pub fn open_disk(config: &Config, id: &DiskId) -> Result<Disk> {
    let [overlays, manifests] = [OVERLAYS, MANIFESTS].map(|name| config.state_dir.join(name));
    let machine = id.machine();
    let cannot = || format!("the disk of {machine} cannot be opened");
    let generations = Generations::new(overlays, HostBoot::current());
    let current = generations.current(&id.folder()).with_context(cannot)?;
    let Some(current) = current else { bail!("{machine} has written nothing for {}", id.boot()) };
    let made_over = generations.image_of(&id.folder(), current).with_context(cannot)?;
    let name = match config.boots.get(id.boot()).map(|boot| &boot.kind) {
        Some(BootKind::Disk(disk)) => disk.image.as_str(),
        _ => "",
    };
    let images = Images::new(config.images.clone(), manifests);
    let image = match images.wait(IMAGES_TIME, || images.with(made_over, name)) {
        Ok(image) => image,
        Err(Unnamed::Never(why)) => bail!("{why}"),
        Err(Unnamed::Later) => bail!("the images are not read yet"),
    };
    match generations.open_current(&id.folder(), image) {
        Ok(Some(overlay)) => Ok(Disk::from(overlay)),
        Ok(None) => bail!("{machine} has written nothing for {}", id.boot()),
        Err(Error::Busy) => bail!("{machine} has its disk in use: switch it off first"),
        Err(error) => Err(error).with_context(cannot),
    }
}
