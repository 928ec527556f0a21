//! `bootlace loaders list`.

use anyhow::Result;
use bootlace_core::boot::loader::signed_ipxe::Pair;
use bootlace_core::boot::loader::{
    Loader, SignedBoot, candidates, carries_signature, known_files, signed_boot,
};
use bootlace_core::config::Config;
use bootlace_core::model::Firmware;
use serde::Serialize;

use crate::cli::table::table;
use crate::cli::{Format, say};
use crate::files::{Body, FilePlane};
use crate::loaders::{LOADER_BYTES_MAX, Sum};
use crate::serving::named_loaders;

/// Digits of a sum in the table: enough to tell files apart.
const SUM_DIGITS: usize = 16;

/// A loader that a firmware may be sent.
#[derive(Debug, Serialize)]
struct Row {
    /// What it is for; `None` for one that only the config names.
    firmware: Option<String>,
    /// Its served name.
    name: String,
    /// What brings it.
    supplier: Supplier,
    /// Whether a machine of this firmware gets it when nothing names another.
    default: bool,
    /// The file, when it is there.
    file: Option<Found>,
}

/// What brings a loader.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Supplier {
    /// This package of the distribution, or somebody who put it into `boot_dir`.
    Package(&'static str),
    /// `bootlace loaders fetch`.
    Fetch,
    /// Whoever named it in the config.
    Config,
}

impl Supplier {
    fn describe(self) -> String {
        match self {
            Self::Package(package) => format!("package {package}"),
            Self::Fetch => "loaders fetch".to_owned(),
            Self::Config => "the config".to_owned(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Found {
    path: String,
    bytes: u64,
    sha256: String,
    /// Whether it carries a signature.
    signed: bool,
}

pub(super) fn run(config: &Config, format: Format) -> Result<()> {
    let plane = if config.boot_dir.exists() { FilePlane::of(config)? } else { FilePlane::loaders(config)? };
    let rows = rows(config, &plane);
    match format {
        Format::Json => say(&serde_json::to_string_pretty(&rows)?),
        Format::Human => say(&table(
            ["FIRMWARE", "LOADER", "DEFAULT", "FROM", "BYTES", "SIGNED", "SHA-256", "FILE"],
            &rows.iter().map(cells).collect::<Vec<_>>(),
        )),
    }
}

fn rows(config: &Config, plane: &FilePlane) -> Vec<Row> {
    let mut rows = Vec::new();
    let loaders = plane.inventory(known_files());
    // The names are the same over HTTP.
    for firmware in Firmware::all().filter(|firmware| !firmware.is_http()) {
        let mut default = None;
        for &name in candidates(firmware) {
            let file = find(plane, name);
            let is_first = default.is_none() && file.is_some();
            default = default.or_else(|| is_first.then_some(name));
            rows.push(Row {
                firmware: Some(firmware.to_string()),
                name: name.to_owned(),
                supplier: Supplier::Package("ipxe"),
                default: is_first,
                file,
            });
        }
        for signed in signed_boot(firmware).into_iter().flat_map(SignedBoot::files) {
            rows.push(Row {
                firmware: Some(firmware.to_string()),
                name: signed.name.to_owned(),
                supplier: Supplier::Package(signed.package),
                default: false,
                file: loaders.signed(signed).and_then(|name| find(plane, name)),
            });
        }
        if let Some(pair) = Pair::of(firmware) {
            for name in [pair.shim(), pair.second()] {
                let file = find(plane, &name);
                let firmware = Some(firmware.to_string());
                rows.push(Row { firmware, name, supplier: Supplier::Fetch, default: false, file });
            }
        }
    }
    let mut named: Vec<&str> = named_loaders(config).filter_map(Loader::file).collect();
    named.retain(|name| rows.iter().all(|row| row.name != *name));
    named.sort_unstable();
    named.dedup();
    rows.extend(named.into_iter().map(|name| Row {
        firmware: None,
        name: name.to_owned(),
        supplier: Supplier::Config,
        default: false,
        file: find(plane, name),
    }));
    rows
}

fn find(plane: &FilePlane, name: &str) -> Option<Found> {
    let content = plane.open(name).ok()?;
    let Body::File(file) = &content.body else { return None };
    let len = content.len.min(LOADER_BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    let read = file.read_waiting(0, &mut bytes).ok()?;
    bytes.truncate(read);
    let path = file.path().unwrap_or_default();
    Some(Found {
        path: path.display().to_string(),
        bytes: content.len,
        sha256: Sum::of(&bytes).to_string(),
        signed: carries_signature(&bytes),
    })
}

fn cells(row: &Row) -> [String; 8] {
    let firmware = row.firmware.clone().unwrap_or_else(|| "-".to_owned());
    let default = if row.default { "yes" } else { "-" };
    let of_file = |text: &dyn Fn(&Found) -> String| row.file.as_ref().map_or_else(|| "-".to_owned(), text);
    [
        firmware,
        row.name.clone(),
        default.to_owned(),
        row.supplier.describe(),
        of_file(&|file| file.bytes.to_string()),
        of_file(&|file| if file.signed { "yes" } else { "no" }.to_owned()),
        of_file(&|file| file.sha256[..SUM_DIGITS].to_owned()),
        row.file.as_ref().map_or_else(|| "missing".to_owned(), |file| file.path.clone()),
    ]
}
