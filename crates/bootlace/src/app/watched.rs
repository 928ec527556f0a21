//! The folders in which a change can mean another config.
//!
//! Folders and not files: editors, Ansible and Kubernetes put a new file or a new link in the place of the old one.
//! `inotify` is asked through rustix, which is here already; the crate `notify` would bring a thread and other
//! systems' ways along.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use bootlace_core::config::{Config, Files};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

use crate::files::LINKS_MAX;

/// A non-blocking descriptor that is readable after a change in one of the folders. One that cannot be watched
/// counts as never changing: SIGHUP is still there.
pub(super) fn watch(folders: &BTreeSet<PathBuf>) -> io::Result<OwnedFd> {
    let inotify = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let changes = WatchFlags::CLOSE_WRITE
        | WatchFlags::CREATE
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE
        | WatchFlags::ATTRIB
        | WatchFlags::ONLYDIR;
    for folder in folders {
        if let Err(error) = add_watch(&inotify, folder, changes) {
            tracing::debug!(%error, folder = %folder.display(), "not watched for changes");
        }
    }
    Ok(inotify)
}

/// Those of the config file, of the files that it names, and of what the config in force names.
pub(super) fn config_folders(path: &Path, config: &Config, files: &Files) -> BTreeSet<PathBuf> {
    let token_file = config.admin.token_file.as_deref();
    let paths = [path].into_iter().chain(token_file).chain(files.keys().map(PathBuf::as_path));
    let mut found: BTreeSet<PathBuf> = paths.flat_map(folders).collect();
    found.insert(config.templates.clone());
    found
}

/// Where a change could give `path` another content: the folder that it finally is in, and the folders of all
/// symbolic links on the way there, also of folders.
pub(super) fn folders(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut here = std::env::current_dir().unwrap_or_default();
    let mut pending = reversed(path);
    let mut links = 0;
    while let Some(part) = pending.pop() {
        let folder = here.clone();
        match part.as_path() {
            root if root.is_absolute() => here = root.to_owned(),
            up if up == Path::new("..") => drop(here.pop()),
            name => here.push(name),
        }
        if pending.is_empty() {
            found.insert(folder.clone());
        }
        let Ok(target) = fs::read_link(&here) else { continue };
        links += 1;
        if links > LINKS_MAX {
            break;
        }
        found.insert(folder.clone());
        here = folder;
        pending.extend(reversed(&target));
    }
    found
}

/// The components of a path, the last one first: a stack to walk along.
fn reversed(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().rev().filter(|part| *part != Component::CurDir);
    parts.map(|part| PathBuf::from(part.as_os_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_watched_where_they_lie() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        fs::create_dir_all(at("releases/5")).unwrap();
        fs::create_dir_all(at("etc/v1")).unwrap();
        fs::write(at("releases/5/bootlace.toml"), "").unwrap();
        fs::write(at("etc/v1/bootlace.toml"), "").unwrap();
        symlink("releases/5", at("current")).unwrap();
        symlink("v1", at("etc/..data")).unwrap();
        symlink("..data/bootlace.toml", at("etc/bootlace.toml")).unwrap();
        let of = |name: &str| folders(&at(name)).into_iter().collect::<Vec<_>>();
        assert_eq!(of("etc/v1/bootlace.toml"), [at("etc/v1")]);
        assert_eq!(
            of("current/bootlace.toml"),
            [root.clone(), at("releases/5")],
            "as Ansible and Capistrano do"
        );
        assert_eq!(of("etc/bootlace.toml"), [at("etc"), at("etc/v1")], "as Kubernetes does");
        assert_eq!(of("etc/absent.toml"), [at("etc")]);
        symlink("loop", at("loop")).unwrap();
        assert_eq!(of("loop"), [root]);
    }
}
