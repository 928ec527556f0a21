//! The disks of machines and their images, for people.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bootlace_core::boot::disk::DiskId;
use bootlace_core::model::Timestamp;
use bootlace_disk::Result;

use super::images::Known;
use super::machine_disks::{MachineDisks, Medium};
use crate::api::{ImageView, OverlayView};

/// What became of an order to reset a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The next boot finds a fresh one.
    Done,
    /// There is nothing of it.
    Absent,
    /// A machine has it.
    InUse,
}

/// What became of an order to give a disk's files free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Nobody has them open here.
    Done,
    /// A machine has it.
    InUse,
    /// It has none: it lives in memory.
    InMemory,
}

/// How long threads that have ended their sessions may take to let go of a disk.
const LET_GO: Duration = Duration::from_secs(1);

impl MachineDisks {
    /// What machines have written, by machine and boot.
    pub fn overlays(&self) -> Result<Vec<OverlayView>> {
        let mut views = Vec::new();
        for folder in self.generations.machines()? {
            let (Some(id), Some(current)) = (DiskId::of_folder(&folder), self.generations.current(&folder)?)
            else {
                continue;
            };
            let kept = self.generations.kept(&folder, current)?;
            views.push(OverlayView {
                machine: id.machine().to_owned(),
                boot: id.boot().to_string(),
                generation: current.number,
                created: Some(time(kept.created_secs)),
                image: kept.image.to_string(),
                image_name: self.images.name_of(kept.image),
                size: kept.size,
                space: kept.space,
                medium: "files".to_owned(),
                in_use: self.is_in_use(&id),
            });
        }
        views.extend(self.in_memory());
        views.sort_by(|a, b| (&a.machine, &a.boot).cmp(&(&b.machine, &b.boot)));
        Ok(views)
    }

    fn in_memory(&self) -> Vec<OverlayView> {
        let all = self.all();
        let memory = all.iter().filter(|(_, open)| open.medium == Medium::Memory);
        let view = |(id, open): (&DiskId, &super::machine_disks::Open)| {
            let (size, space, image) = open.target.kept();
            OverlayView {
                machine: id.machine().to_owned(),
                boot: id.boot().to_string(),
                generation: open.generation.number,
                created: None,
                image_name: image.and_then(|image| self.images.name_of(image)),
                image: image.map(|image| image.to_string()).unwrap_or_default(),
                size,
                space,
                medium: "memory".to_owned(),
                in_use: open.target.is_in_use(),
            }
        };
        memory.map(view).collect()
    }

    fn is_in_use(&self, id: &DiskId) -> bool {
        self.all().get(id).is_some_and(|open| open.target.is_in_use())
    }

    /// Drops what a machine has written for a boot, unless it has the disk at this moment.
    pub fn reset(&self, id: &DiskId) -> Result<Reset> {
        let _turn = self.turn(id);
        let mut all = self.all();
        let open = match all.get(id) {
            Some(open) if !open.target.close_idle() => return Ok(Reset::InUse),
            _ => all.remove(id),
        };
        drop(all);
        if let Some(open) = &open {
            open.target.retire();
        }
        let was_open = open.is_some();
        drop(open);
        match self.generations.remove(&id.folder())? || was_open {
            true => Ok(Reset::Done),
            false => Ok(Reset::Absent),
        }
    }

    /// Closes what is open of a disk that no machine has at this moment, so that somebody else may open it. The next login
    /// opens it again.
    pub fn release(&self, id: &DiskId) -> Release {
        let _turn = self.turn(id);
        let mut all = self.all();
        let open = match all.get(id) {
            None => return Release::Done,
            Some(open) if open.medium == Medium::Memory => return Release::InMemory,
            Some(open) if !open.target.close_idle() => return Release::InUse,
            Some(_) => all.remove(id),
        };
        drop(all);
        let left = open.as_ref().map(|open| Arc::downgrade(&open.target));
        drop(open);
        let until = Instant::now() + LET_GO;
        while left.as_ref().is_some_and(|target| target.strong_count() > 0) {
            if Instant::now() >= until {
                return Release::InUse;
            }
            thread::sleep(Duration::from_millis(1));
        }
        Release::Done
    }

    /// The files of the images folder that are known, and whether they can be used.
    pub fn images(&self) -> Vec<ImageView> {
        self.images.list(|path, known| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (state, sha256, size) = match known {
                Known::Reading => ("being read".to_owned(), None, None),
                Known::Here(_, image) => {
                    ("ready".to_owned(), Some(image.id().to_string()), Some(image.size()))
                }
                Known::Bad { why, .. } => (why.clone(), None, None),
            };
            ImageView { name, state, id: sha256, size }
        })
    }
}

fn time(secs: u64) -> String {
    Timestamp::from_secs(i64::try_from(secs).unwrap_or_default()).to_string()
}
