//! Free space where leases and files lie.

use std::path::Path;

use bootlace_core::config::Config;
use bootlace_core::finding::Finding;
use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};

use super::{Code, error, warning};

/// Less free space than this is a warning: the journal with its log may take as much at once.
const LOW_BYTES: u64 = 256 << 20;
/// Less than this is an error in the state folder: leases are about to fail.
const NONE_BYTES: u64 = 8 << 20;

/// What a folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// `state_dir`, which is written.
    State,
    /// `boot_dir`, which only people write.
    Files,
}

/// A file system's room, as users without privileges have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    free_bytes: u64,
    /// `None` where the file system has no fixed number of files.
    free_files: Option<u64>,
    access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    ReadWrite,
    ReadOnly,
}

pub(super) fn space(config: &Config) -> Vec<Finding> {
    let folders = [(Use::State, &config.state_dir), (Use::Files, &config.boot_dir)];
    folders.into_iter().filter_map(|(purpose, path)| judge(purpose, path, room(path)?)).collect()
}

/// That of the folder, or of the one that it will be made in.
fn room(path: &Path) -> Option<Room> {
    let there = path.ancestors().find(|folder| folder.exists())?;
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    statvfs(there).ok().map(|stat| of(&stat))
}

fn of(stat: &StatVfs) -> Room {
    Room {
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        free_files: (stat.f_files > 0).then_some(stat.f_favail),
        access: if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
            Access::ReadOnly
        } else {
            Access::ReadWrite
        },
    }
}

fn judge(purpose: Use, path: &Path, room: Room) -> Option<Finding> {
    let path = path.display();
    match (purpose, room.access) {
        (Use::Files, Access::ReadOnly) => return None,
        (Use::State, Access::ReadOnly) => {
            let message =
                format!("the disk of state_dir {path} is mounted read-only: no lease can be written");
            return Some(
                error(Code::DiskReadOnly, message)
                    .fix(format!("mount -o remount,rw \"$(stat -c %m {path})\"")),
            );
        }
        (_, Access::ReadWrite) => {}
    }
    let is_full = room.free_bytes < NONE_BYTES || room.free_files == Some(0);
    if !is_full && room.free_bytes >= LOW_BYTES {
        return None;
    }
    let (key, finding) = match purpose {
        Use::State if is_full => ("state_dir", error as fn(Code, String) -> Finding),
        Use::State => ("state_dir", warning as fn(Code, String) -> Finding),
        Use::Files => ("boot_dir", warning as fn(Code, String) -> Finding),
    };
    let files = if room.free_files == Some(0) { " and room for no further file" } else { "" };
    let found = finding(Code::SpaceLow, format!("the disk of {key} {path} is nearly full"));
    Some(
        found
            .evidence(format!("{} MiB are free{files}", room.free_bytes >> 20))
            .fix(format!("see what takes the room: du -xh \"$(stat -c %m {path})\" | sort -h | tail")),
    )
}

#[cfg(test)]
mod tests {
    use bootlace_core::finding::Severity;

    use super::*;

    const FINE: Room = Room { free_bytes: LOW_BYTES, free_files: Some(1000), access: Access::ReadWrite };

    fn severity(purpose: Use, room: Room) -> Option<Severity> {
        judge(purpose, Path::new("/srv"), room).map(|finding| finding.severity)
    }

    #[test]
    fn a_full_disk_is_worst_where_leases_are() {
        assert_eq!(severity(Use::State, FINE), None);
        let low = Room { free_bytes: LOW_BYTES - 1, ..FINE };
        assert_eq!(severity(Use::State, low), Some(Severity::Warning));
        let none = Room { free_bytes: 0, ..FINE };
        assert_eq!(severity(Use::State, none), Some(Severity::Error));
        assert_eq!(severity(Use::Files, none), Some(Severity::Warning));
        assert_eq!(severity(Use::State, Room { free_files: Some(0), ..FINE }), Some(Severity::Error));
        assert_eq!(severity(Use::State, Room { free_files: None, ..FINE }), None);
    }

    #[test]
    fn files_may_lie_on_a_disk_that_nobody_writes() {
        let image = Room { free_bytes: 0, free_files: Some(0), access: Access::ReadOnly };
        assert_eq!(severity(Use::Files, image), None);
        assert_eq!(severity(Use::State, image), Some(Severity::Error));
    }

    #[test]
    fn a_folder_that_is_yet_to_be_made_has_the_room_of_its_parent() {
        let folder = tempfile::tempdir().unwrap();
        assert!(room(&folder.path().join("not/yet")).is_some());
    }
}
