//! BENCHMARKS.md: one section for each bench, replaced by its next run.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::contest::{Bound, Place, Standings};

/// Where results are kept.
pub(super) const FILE: &str = "BENCHMARKS.md";

const INTRODUCTION: &str = "# Benchmarks

Bootlace and its peers took turns under the same load, in the same minutes, on the same computer. The ratios are
what counts: medians of the ratios within each round. CPU time is the server's alone.
";

/// Puts the results of bench `name` in place of its last ones.
pub(super) fn write(root: &Path, name: &str, rounds: u32, tables: &str) -> Result<()> {
    let path = root.join(FILE);
    let old = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => INTRODUCTION.to_owned(),
        Err(error) => return Err(error).with_context(|| format!("read {FILE}")),
    };
    let circumstances = circumstances(root)?;
    let section =
        format!("## {name}\n\n`cargo xtask bench {name} --rounds {rounds}`: {circumstances}\n{tables}");
    fs::write(&path, replace(&old, name, &section)).with_context(|| format!("write {FILE}"))
}

/// `text` with the part between the marks of `name` replaced, or appended where there is none.
fn replace(text: &str, name: &str, section: &str) -> String {
    let (begin, end) = (format!("<!-- bench {name} -->\n"), format!("<!-- end of bench {name} -->\n"));
    let framed = format!("{begin}{section}{end}");
    let found = text.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    match found {
        Some((before, after)) => format!("{before}{framed}{after}"),
        None => format!("{}\n\n{framed}", text.trim_end()),
    }
}

/// One contest.
pub(super) fn table(standings: &Standings) -> String {
    let Standings { work, unit, floor, end, places, bound } = standings;
    let cpu_floor = floor.cpu.map(|cpu| format!(", at most {cpu:.2} of its CPU")).unwrap_or_default();
    let verdict = match (standings.shortfall(), bound) {
        (Some(_), _) => "**missed**",
        (None, Bound::Server) => "met",
        (None, Bound::Load) => "met as far as can be told, since the load generator is the limit",
    };
    let mut text = format!(
        "\n### {work}\n\nFloor: {} x the fastest peer{cpu_floor}: {verdict}. Where it should end: {end}.\n\n\
         | server | {unit}/s | us CPU per {unit} | Bootlace is | with CPU |\n|---|--:|--:|--:|--:|\n",
        floor.rate
    );
    for (index, Place { name, rate, cpu_micros, rate_ratio, cpu_ratio }) in places.iter().enumerate() {
        let against =
            if index == 0 { "| | |".to_owned() } else { format!("| {rate_ratio:.2} x | {cpu_ratio:.2} x |") };
        text.push_str(&format!("| {name} | {rate:.0} | {cpu_micros:.1} {against}\n"));
    }
    text
}

/// When, what and where.
fn circumstances(root: &Path) -> Result<String> {
    let date = output(root, "date", &["-u", "+%F"])?;
    let commit = output(root, "git", &["describe", "--always", "--dirty"])?;
    let kernel = output(root, "uname", &["-sr"])?;
    let cpus = std::thread::available_parallelism()?;
    let info = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unnamed CPU", |(_, model)| model);
    Ok(format!("{date}, commit {commit}, {cpus} cores of {model}, {kernel}."))
}

fn output(root: &Path, program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .output()
        .with_context(|| format!("run {program}"))?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::contest::Floor;
    use super::*;

    #[test]
    fn a_section_is_replaced_in_its_place() {
        let text = replace("# Title\n", "one", "first\n");
        let text = replace(&text, "two", "second\n");
        assert_eq!(
            text,
            "# Title\n\n<!-- bench one -->\nfirst\n<!-- end of bench one -->\n\n<!-- bench two -->\nsecond\n<!-- end of bench two -->\n"
        );
        let text = replace(&text, "one", "again\n");
        assert!(
            text.contains("<!-- bench one -->\nagain\n<!-- end of bench one -->\n\n<!-- bench two"),
            "{text}"
        );
        assert!(!text.contains("first"));
    }

    #[test]
    fn a_table_names_the_floor_and_the_ratios() {
        let place =
            |name, rate, rate_ratio| Place { name, rate, cpu_micros: 7.25, rate_ratio, cpu_ratio: 0.5 };
        let standings = Standings {
            work: "windowsize 16".to_owned(),
            unit: "MiB",
            floor: Floor { rate: 2.0, cpu: None },
            end: "the wire",
            bound: Bound::Server,
            places: vec![place("bootlace", 300.0, 1.0), place("atftpd", 200.0, 1.5)],
        };
        let text = table(&standings);
        assert!(
            text.contains("Floor: 2 x the fastest peer: **missed**. Where it should end: the wire."),
            "{text}"
        );
        assert!(text.contains("| bootlace | 300 | 7.2 | | |\n"), "{text}");
        assert!(text.contains("| atftpd | 200 | 7.2 | 1.50 x | 0.50 x |\n"), "{text}");
    }
}
