//! What the operating system inside a test machine is made of: Debian's cloud kernel and busybox.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::debian;

/// Small, signed, and with drivers for everything that QEMU emulates for us.
const KERNEL: &str = "linux-image-cloud-amd64";
const BUSYBOX: &str = "busybox-static";

/// A kernel and a userland, unpacked from Debian packages.
#[derive(Debug, Clone)]
pub struct Guest {
    image: PathBuf,
    busybox: PathBuf,
    /// Every module file by its name, with `_` for `-`.
    modules: BTreeMap<String, PathBuf>,
}

impl Guest {
    /// The guest in `cache`, downloaded by apt when it is not there yet.
    pub fn fetch(cache: &Path) -> Result<Self> {
        let busybox = debian::unpack(cache, BUSYBOX)?.join("bin/busybox");
        // A kernel that is there is good enough: newer ones only cost a download.
        let kernel = match cached_kernel(cache) {
            Some(kernel) => kernel,
            None => debian::unpack(cache, &debian::meant_by(KERNEL)?)?,
        };
        let image = entry_starting(&kernel.join("boot"), "vmlinuz-")
            .with_context(|| format!("no vmlinuz in {}", kernel.display()))?;
        let mut modules = BTreeMap::new();
        find_modules(&kernel.join("lib/modules"), &mut modules)?;
        Ok(Self { image, busybox, modules })
    }

    /// A static busybox, which is also a set of clients for the host side.
    #[must_use]
    pub fn busybox(&self) -> &Path {
        &self.busybox
    }

    /// The kernel image, `vmlinuz`.
    #[must_use]
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// The files of `names` and of all that they depend on, in an order in which they can be loaded.
    pub fn modules(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
        let mut ordered = Vec::new();
        for name in names {
            self.module_with_dependencies(name, &mut ordered)?;
        }
        Ok(ordered)
    }

    fn module_with_dependencies(&self, name: &str, ordered: &mut Vec<PathBuf>) -> Result<()> {
        let path = self.modules.get(&name.replace('-', "_")).with_context(|| format!("no module {name}"))?;
        if ordered.contains(path) {
            return Ok(());
        }
        for dependency in dependencies(&fs::read(path)?) {
            self.module_with_dependencies(&dependency, ordered)?;
        }
        ordered.push(path.clone());
        Ok(())
    }
}

fn cached_kernel(cache: &Path) -> Option<PathBuf> {
    // A download in progress carries a dot and a process id behind its name.
    entry_starting(cache, "linux-image-").filter(|path| path.join("boot").is_dir())
}

fn entry_starting(dir: &Path, start: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    entries
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start)))
        .max()
}

/// What a module says it depends on. The `.modinfo` section is a run of NUL-terminated `key=value` strings,
/// which can be found without reading the rest of the ELF file; `depmod`'s list is only made at installation.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let value = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(value).split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn find_modules(dir: &Path, found: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            find_modules(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "ko") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().replace('-', "_");
            found.insert(name, path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_modinfo() {
        let module = b"\x7fELF...\0license=GPL\0depends=net_failover,virtio\0retpoline=Y\0";
        assert_eq!(dependencies(module), ["net_failover", "virtio"]);
        assert!(dependencies(b"\0depends=\0name=failover\0").is_empty());
        assert!(dependencies(b"depends").is_empty());
    }
}
