//! Every limit of a played boot: a hostile server can neither make it endless nor large.

use std::time::Duration;

/// A boot that has not ended by then has hung. Firmware, DHCP and loaders give up far earlier.
pub const BOOT_TIME_MAX: Duration = Duration::from_secs(900);

/// Files, names and config candidates that one boot asks for; a pxelinux that finds nothing asks for twelve.
pub const FETCHES_MAX: u32 = 250;

/// Commands that one boot's scripts run.
pub const COMMANDS_MAX: u32 = 5_000;

/// Scripts that wait for scripts that they chained.
pub const SCRIPT_DEPTH_MAX: usize = 16;

/// Times that one boot runs the script of one URL: a script that leads back to itself more often never ends.
pub const SCRIPT_RUNS_MAX: u32 = 8;

/// Loaders that load loaders: firmware, shim, GRUB or iPXE, pxelinux, and one more for a doubt.
pub const LOADERS_MAX: u32 = 6;

/// Beginning of each file that is looked at: scripts and configs are far smaller. The rest is only counted.
pub const LOOK_BYTES_MAX: usize = 256 << 10;

/// Bytes of one file. Installers of today are a few GiB.
pub const FILE_BYTES_MAX: u64 = 64 << 30;

/// Offers that are kept for the choice; EDK2 keeps as many.
pub const OFFERS_MAX: usize = 16;

/// Head of an HTTP answer.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 << 10;

/// Redirects that iPXE is made to follow for one file.
pub const REDIRECTS_MAX: u32 = 10;

/// Length of a script line after expansion, and of any value in it.
pub const VALUE_BYTES_MAX: usize = 8 << 10;

/// Settings that scripts may hold at once.
pub const SETTINGS_MAX: usize = 1_000;

/// Images (kernels, initial file systems) that are held at once.
pub const IMAGES_MAX: usize = 100;

/// Entries of a menu.
pub const MENU_ITEMS_MAX: usize = 1_000;

/// Steps that a report keeps; a boot has some twenty.
pub const REPORT_STEPS_MAX: usize = 2_000;

/// Characters of what a server sent that are shown.
pub const SHOWN_CHARS_MAX: usize = 200;
