//! What was learned of a machine, where its boot file is chosen.

use super::Role;
use super::boot_fields::Booting;
use crate::boot::loader::{Loader, NoLoader};
use crate::config::{BootKind, DiskBoot, San};
use crate::finding::Trail;
use crate::learn::{self, Case, Setting};

impl Booting<'_> {
    /// The setting of this firmware's boot; none where the config names the loader, or nothing is to be learned.
    pub(super) fn setting(&self, trail: &mut Trail) -> Option<Setting> {
        let learning = &self.config.learn;
        if !learning.enabled || self.choice.settings.loader.is_some() {
            return None;
        }
        let case = Case {
            firmware: self.firmware_family().over_tftp(),
            facts: self.session.learned,
            now: self.now,
            expire: learning.expire,
        };
        let next = learn::next(&case, |setting| self.applies(setting));
        trail.0.extend(next.trail.0);
        Some(next.setting)
    }

    /// The loader of a setting.
    pub(super) fn loader_by(&self, setting: Option<Setting>) -> Result<String, NoLoader> {
        match setting {
            Some(Setting::Native) => {
                self.loaders.native(self.firmware_family()).map_or_else(|| self.loader(), Ok)
            }
            Some(Setting::Secure) => self.loaders.pick(self.firmware_family(), Some(&Loader::Secure)),
            Some(Setting::Usual | Setting::SmallBlocks | Setting::OtherRecipe) | None => self.loader(),
        }
    }

    /// Why a setting would change nothing for this machine.
    fn applies(&self, setting: Setting) -> Result<(), String> {
        match setting {
            Setting::Usual | Setting::SmallBlocks => Ok(()),
            Setting::Native => match self.loaders.native(self.firmware_family()) {
                Some(native) if self.loader() != Ok(native.clone()) => Ok(()),
                Some(native) => Err(format!("{native} is the usual loader")),
                None => Err("there is no iPXE with drivers of its own".to_owned()),
            },
            Setting::OtherRecipe if self.role == Role::Server => {
                Err("this server gives the address, too".to_owned())
            }
            Setting::OtherRecipe => match self.choice.settings.proxy.or(self.config.dhcp.proxy) {
                Some(_) => Err("the config says `proxy`".to_owned()),
                None => Ok(()),
            },
            Setting::Secure => match self.loaders.pick(self.firmware_family(), Some(&Loader::Secure)) {
                Ok(_) => self.is_for_grub(),
                Err(why) => Err(why.to_string()),
            },
        }
    }

    /// Why GRUB cannot do what is decided. Where nothing is decided yet, it may.
    fn is_for_grub(&self) -> Result<(), String> {
        let Some(boot) = self.decided() else { return Ok(()) };
        match self.config.boot(boot).kind {
            BootKind::San(San { kernel: None, .. })
            | BootKind::Disk(DiskBoot { kernel: None, .. })
            | BootKind::Ipxe { .. }
            | BootKind::Pxelinux(_)
            | BootKind::Wait => Err(format!("boot {boot} is nothing for GRUB")),
            BootKind::San(_)
            | BootKind::Disk(_)
            | BootKind::Local(_)
            | BootKind::Linux { .. }
            | BootKind::Install(_)
            | BootKind::Chain { .. }
            | BootKind::Efi { .. }
            | BootKind::Menu(_) => Ok(()),
        }
    }
}
