//! Who may depend on whom, who may be unsafe, and how many packages we may lock.

use toml::{Table, Value};

use super::{Complaint, Source, find_word};

/// Every crate of ours and those of ours that it may name. Dependencies of tests count, too: a test that
/// needs the server's decision code in the prober shares a decision with it.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "bootlace",
        &[
            "bootlace-wire",
            "bootlace-core",
            "bootlace-store",
            "bootlace-disk",
            "bootlace-probe",
            "bootlace-links",
            "bootlace-iso",
        ],
    ),
    ("bootlace-store", &["bootlace-core", "bootlace-wire"]),
    ("bootlace-core", &["bootlace-wire"]),
    ("bootlace-probe", &["bootlace-wire"]),
    ("bootlace-disk", &[]),
    ("bootlace-wire", &[]),
    ("bootlace-iso", &[]),
    ("bootlace-links", &[]),
    ("bootlace-lab", &["bootlace-links"]),
    ("xtask", &["bootlace-lab"]),
];

const LOCKED_PACKAGES_MAX: usize = 320;
/// The only place that may talk to the kernel without the compiler's protection.
const UNSAFE_HOME: &str = "crates/bootlace/src/net/";
/// The test that makes system calls which no safe function makes.
const UNSAFE_TEST: &str = "crates/bootlace/tests/it/denied.rs";
const FORBID_UNSAFE: &str = "#![forbid(unsafe_code)]";

pub(super) fn crates_point_the_right_way(sources: &[Source]) -> Vec<Complaint> {
    manifests(sources).flat_map(|(source, name, manifest)| check_manifest(source, &name, &manifest)).collect()
}

fn check_manifest(source: &Source, name: &str, manifest: &Table) -> Vec<Complaint> {
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
        return vec![
            source.complain(1, format!("{name} is new: give it its arrows in xtask/src/tidy/arrows.rs")),
        ];
    };
    let forbidden = dependencies(manifest)
        .filter(|dependency| is_ours(dependency) && !allowed.contains(&dependency.as_str()));
    forbidden
        .map(|dependency| {
            let line = source.lines().find(|(_, line)| line.trim_start().starts_with(&dependency));
            let advice = format!(
                "{name} must not depend on {dependency}: move what is shared down, or pass it as an argument"
            );
            source.complain(line.map_or(1, |(number, _)| number), advice)
        })
        .collect()
}

fn is_ours(package: &str) -> bool {
    ARROWS.iter().any(|(name, _)| *name == package) || package.starts_with("bootlace-")
}

fn manifests(sources: &[Source]) -> impl Iterator<Item = (&Source, String, Table)> {
    sources.iter().filter(|source| source.path.ends_with("/Cargo.toml")).filter_map(|source| {
        let manifest: Table = toml::from_str(&source.text).ok()?;
        // The fuzz targets are a workspace of their own, and reach whatever they test.
        if manifest.contains_key("workspace") || source.path.starts_with("fuzz/") {
            return None;
        }
        let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
        Some((source, name, manifest))
    })
}

/// All names under `dependencies`, `dev-dependencies` and `build-dependencies`, also of `[target.X]`.
pub(super) fn dependencies(manifest: &Table) -> impl Iterator<Item = String> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut names = Vec::new();
    for table in tables {
        for listed in kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()) {
            names.extend(listed.keys().cloned());
        }
    }
    names.into_iter()
}

pub(super) fn unsafe_stays_in_its_place(sources: &[Source]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let is_root = source.path.ends_with("/src/lib.rs") || source.path.ends_with("/src/main.rs");
        let in_server = source.path.starts_with("crates/bootlace/");
        if is_root && !in_server && !source.text.contains(FORBID_UNSAFE) {
            complaints.push(source.complain(1, format!("add `{FORBID_UNSAFE}`")));
        }
        if !in_server || source.path.starts_with(UNSAFE_HOME) || source.path == UNSAFE_TEST {
            continue;
        }
        for (number, line) in source.lines().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            if find_word(line, "unsafe").is_some() {
                complaints.push(source.complain(number, format!("`unsafe` belongs into {UNSAFE_HOME}")));
            }
        }
    }
    complaints
}

pub(super) fn packages_stay_few(sources: &[Source]) -> Vec<Complaint> {
    let Some(lock) = sources.iter().find(|source| source.path == "Cargo.lock") else { return Vec::new() };
    let count = lock.lines().filter(|(_, line)| *line == "[[package]]").count();
    if count <= LOCKED_PACKAGES_MAX {
        return Vec::new();
    }
    let advice = format!(
        "{count} packages, more than {LOCKED_PACKAGES_MAX}: drop a dependency or some of its features"
    );
    vec![lock.complain(1, advice)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, rest: &str) -> Source {
        Source::new(&format!("crates/{name}/Cargo.toml"), &format!("[package]\nname = \"{name}\"\n{rest}"))
    }

    #[test]
    fn a_wrong_arrow_is_found_wherever_it_hides() {
        let hidden = [
            "[dependencies]\nbootlace-store = { workspace = true }\n",
            "[dev-dependencies]\nbootlace-store = { workspace = true }\n",
            "[target.'cfg(unix)'.dependencies]\nbootlace-store = { workspace = true }\n",
        ];
        for rest in hidden {
            let complaints = crates_point_the_right_way(&[manifest("bootlace-core", rest)]);
            assert_eq!(complaints.len(), 1, "{rest}");
            assert_eq!(complaints[0].line, 4);
        }
    }

    #[test]
    fn right_arrows_pass_and_new_crates_do_not() {
        let right = manifest("bootlace-store", "[dependencies]\nbootlace-core = \"1\"\nserde = \"1\"\n");
        assert_eq!(crates_point_the_right_way(&[right]), []);
        assert_eq!(crates_point_the_right_way(&[manifest("bootlace-new", "")]).len(), 1);
    }

    #[test]
    fn unsafe_is_found_outside_of_its_home() {
        let code = "fn f() {\n    unsafe { g() }\n}\n";
        for allowed in ["crates/bootlace/src/net/raw.rs", UNSAFE_TEST] {
            assert_eq!(unsafe_stays_in_its_place(&[Source::new(allowed, code)]), []);
        }
        let complaints = unsafe_stays_in_its_place(&[Source::new("crates/bootlace/src/app.rs", code)]);
        assert_eq!(complaints[0].line, 2);
        assert_eq!(unsafe_stays_in_its_place(&[Source::new("crates/wire/src/lib.rs", "")]).len(), 1);
    }

    #[test]
    fn too_many_packages_are_counted() {
        let lock = |count| Source::new("Cargo.lock", &"[[package]]\n".repeat(count));
        assert_eq!(packages_stay_few(&[lock(LOCKED_PACKAGES_MAX)]), []);
        assert_eq!(packages_stay_few(&[lock(LOCKED_PACKAGES_MAX + 1)]).len(), 1);
    }
}
