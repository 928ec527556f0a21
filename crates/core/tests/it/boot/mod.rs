//! From facts to scripts.

mod choosing;
mod explaining;
mod grub;
mod hostile;
mod install;
mod languages;
mod names;
mod needs;
mod planning;
mod pxelinux;
mod sample;
mod scripts;
mod seed;
