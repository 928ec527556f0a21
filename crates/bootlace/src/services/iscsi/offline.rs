//! Disks of machines and images for commands, which look at the files themselves: the server is shut in and writes no
//! images.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bootlace_core::boot::disk::{DiskId, Unnamed};
use bootlace_core::config::{BootKind, BootName, Config};
use bootlace_disk::{Disk, Error, Generations, HostBoot, ImageId};

use super::images::{Images, find, missing};
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

/// A file of the images folder.
#[derive(Debug)]
pub struct ImageFile {
    /// Where it is.
    pub path: PathBuf,
    /// Where is kept what was found in it.
    pub manifest: PathBuf,
    /// The boots whose disks begin as it.
    pub boots: Vec<BootName>,
    /// The targets that serve it.
    pub targets: Vec<String>,
}

/// The image that has this name now.
pub fn image_file(config: &Config, name: &str) -> Result<ImageFile> {
    let path = find(&config.images, name).with_context(|| missing(&config.images, name))?;
    let is_it = |image: &str| find(&config.images, image).as_ref() == Some(&path);
    let boots = config.disk_boots().filter(|(_, disk)| is_it(&disk.image)).map(|(boot, _)| boot.clone());
    let targets = config.iscsi.targets.iter().filter(|target| target.file == path);
    Ok(ImageFile {
        manifest: config.state_dir.join(MANIFESTS).join(path.file_name().unwrap_or_default()),
        boots: boots.collect(),
        targets: targets.map(|target| target.name.clone()).collect(),
        path,
    })
}

impl ImageFile {
    /// The disks in files that lie over an image with this content.
    pub fn disks(config: &Config, id: ImageId) -> Result<Vec<DiskId>> {
        let overlays = config.state_dir.join(OVERLAYS);
        // The first disk makes it.
        if !overlays.try_exists()? {
            return Ok(Vec::new());
        }
        let generations = Generations::new(overlays, None);
        let mut disks = Vec::new();
        for folder in generations.machines()? {
            let Some(current) = generations.current(&folder)? else { continue };
            if generations.image_of(&folder, current)?.0 == id {
                disks.extend(DiskId::of_folder(&folder));
            }
        }
        Ok(disks)
    }
}
