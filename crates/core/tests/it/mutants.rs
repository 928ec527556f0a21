//! The properties for mutants of good input. Each test is named as its fuzz target.

use std::fs;

use crate::survive::survive;
use crate::{packets, property};

#[test]
fn config_reader() {
    let folders = ["valid", "invalid"].map(|folder| packets::fixtures().join("config").join(folder));
    let mut paths: Vec<_> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    assert!(paths.len() > 10, "found only {}", paths.len());
    let texts: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    survive(&texts, property::config_reader::check);
}

#[test]
fn script_query() {
    let queries: [&[u8]; 6] = [
        b"mac=52:54:00:00:00:01&ip=10.188.0.11&manufacturer=QEMU&product=Standard%20PC&serial=X1&asset=",
        b"uuid=0063edee-4f41-683a-1c1d-6b02f68cd960&buildarch=x86_64&platform=efi&hostname=web1&version=1.21",
        b"mac=&serial=%24%7Bx%7D%0a%1b%5d0;&product=a%20%7c%7c%20exit&manufacturer=Lab%20&%20Sons",
        b"boot=rescue&mac=52:54:00:00:00:02",
        b"boot=local&boot=chained&serial=%25%32%35&serial=twice&unknown=1",
        b"manufacturer=%ff%fe%00&asset=%&product=%4&firmware=uefi-x64&loader=ipxe&&&=&",
    ];
    survive(&queries.map(<[u8]>::to_vec), property::script_query::check);
}
