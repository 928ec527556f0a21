use super::*;

fn facts(known: &[(Var, &str)], reporting: Reporting) -> Facts {
    let mut facts = Facts::new();
    facts.reporting = reporting;
    for &(var, value) in known {
        facts.set(var, value);
    }
    facts
}

fn one(key: &str, patterns: &[&str]) -> Match {
    let mut matches = Match::default();
    matches.add(key, patterns).unwrap();
    matches
}

fn verdict(key: &str, patterns: &[&str], var: Var, value: &str) -> Verdict {
    one(key, patterns).test(&facts(&[(var, value)], Reporting::Done)).verdict
}

#[test]
fn lists_are_ored_and_negatives_veto() {
    let cases: [(&[&str], &str, Verdict); 9] = [
        (&["QEMU*"], "qemu", Verdict::Yes),
        (&["Dell*", "QEMU*"], "QEMU", Verdict::Yes),
        (&["Dell*", "HP*"], "QEMU", Verdict::No),
        (&["!VMware*"], "QEMU", Verdict::Yes),
        (&["!VMware*"], "vmware, inc.", Verdict::No),
        (&["!VMware*", "!Xen*"], "Xen", Verdict::No),
        (&["*Inc*", "!VMware*"], "Dell Inc.", Verdict::Yes),
        (&["*Inc*", "!VMware*"], "VMware, Inc.", Verdict::No),
        (&["*Inc*", "!VMware*"], "QEMU", Verdict::No),
    ];
    for (patterns, value, expected) in cases {
        assert_eq!(
            verdict("manufacturer", patterns, Var::Manufacturer, value),
            expected,
            "{patterns:?} {value}"
        );
    }
}

#[test]
fn values_compare_as_what_they_are() {
    let yes = [
        ("mac", "00-12-34-56-78-9A", Var::Mac, "00:12:34:56:78:9a"),
        ("mac", "52:54:00:*", Var::Mac, "52:54:00:12:34:56"),
        ("mac", "52-54-00-*", Var::Mac, "525400123456"),
        ("uuid", "44454C4C-3900-104E-804E-B9C04F4D344A", Var::Uuid, "4c4c4544-0039-4e10-804e-b9c04f4d344a"),
        ("uuid", "44454c4c-*", Var::Uuid, "4c4c4544-0039-4e10-804e-b9c04f4d344a"),
        ("ip", "10.188.0.0/24", Var::Ip, "10.188.0.61"),
        ("ip", "10.188.0.61", Var::Ip, "10.188.0.61"),
        ("ip", "10.188.*", Var::Ip, "10.188.0.61"),
        ("firmware", "UEFI-X64", Var::Firmware, "uefi-x64"),
        ("firmware", "uefi-*", Var::Firmware, "uefi-arm64"),
        ("firmware", "arch-12", Var::Firmware, "arch-12"),
        ("loader", "ipxe", Var::Loader, "ipxe"),
    ];
    for (key, pattern, var, value) in yes {
        assert_eq!(verdict(key, &[pattern], var, value), Verdict::Yes, "{key} {pattern} {value}");
    }
    let no = [
        ("mac", "52:54:00:*", Var::Mac, "00:52:54:00:12:34"),
        ("mac", "00:12:34:56:78:9a", Var::Mac, "not a mac"),
        ("ip", "10.188.0.0/25", Var::Ip, "10.188.0.200"),
        ("ip", "10.188.0.1", Var::Ip, "10.188.0.10"),
        ("firmware", "bios", Var::Firmware, "uefi-x64"),
    ];
    for (key, pattern, var, value) in no {
        assert_eq!(verdict(key, &[pattern], var, value), Verdict::No, "{key} {pattern} {value}");
    }
}

#[test]
fn what_is_not_reported_yet_is_unknown_until_it_cannot_be() {
    let matches = one("serial", &["X*"]);
    assert_eq!(
        matches.test(&facts(&[], Reporting::CanBeAsked)).verdict,
        Verdict::Unknown([Var::Serial].into())
    );
    let tested = matches.test(&facts(&[], Reporting::Done));
    assert_eq!(tested.verdict, Verdict::No);
    assert!(tested.why.contains("counts as no"), "{}", tested.why);
    // A machine without a serial is not a VMware one.
    let not_vmware = one("serial", &["!VMware*"]);
    assert_eq!(not_vmware.test(&facts(&[], Reporting::Done)).verdict, Verdict::Yes);
    // iPXE has no setting for the vendor class: asking would not help.
    let class = one("vendor-class", &["PXEClient*"]);
    assert_eq!(class.test(&facts(&[], Reporting::CanBeAsked)).verdict, Verdict::No);
    assert_eq!(
        one("ip", &["10.0.0.0/8"]).test(&facts(&[], Reporting::CanBeAsked)).verdict,
        Verdict::Unknown([Var::Ip].into())
    );
}

#[test]
fn keys_are_anded_and_a_no_beats_an_unknown() {
    let mut matches = one("manufacturer", &["QEMU"]);
    matches.add("serial", &["1*"]).unwrap();
    matches.add("product", &["*"]).unwrap();
    let known = facts(&[(Var::Manufacturer, "QEMU")], Reporting::CanBeAsked);
    assert_eq!(matches.test(&known).verdict, Verdict::Unknown([Var::Serial, Var::Product].into()));
    let known = facts(&[(Var::Manufacturer, "Dell")], Reporting::CanBeAsked);
    assert_eq!(matches.test(&known).verdict, Verdict::No);
    let all = [(Var::Manufacturer, "QEMU"), (Var::Serial, "17"), (Var::Product, "PC")];
    let tested = matches.test(&facts(&all, Reporting::CanBeAsked));
    assert_eq!(tested.verdict, Verdict::Yes);
    assert!(tested.why.contains("serial \"17\" matches \"1*\""), "{}", tested.why);
    assert_eq!(Match::default().test(&Facts::new()).verdict, Verdict::Yes);
}

#[test]
fn mistakes_are_named_with_what_to_write() {
    let cases: [(&str, &[&str], Option<usize>, &str); 8] = [
        ("serail", &["x"], None, "did you mean `serial`?"),
        ("firmware", &["bios", "uefi-x86"], Some(1), "did you mean `uefi-"),
        ("firmware", &["coreboot"], Some(0), "known are bios"),
        ("loader", &["grub"], Some(0), "known are ipxe"),
        ("ip", &["10.188.0.0/33"], Some(0), "10.188.0.0/24"),
        ("mac", &["52:54:0g:*"], Some(0), "52:54:00:*"),
        ("mac", &["52:54:00"], Some(0), ""),
        ("serial", &["!"], Some(0), ""),
    ];
    for (key, patterns, index, fix) in cases {
        let error = Match::default().add(key, patterns).unwrap_err();
        assert_eq!(error.index, index, "{error}");
        assert!(error.fix.as_deref().unwrap_or("").contains(fix), "{error:?}");
    }
    assert!(Match::default().add("serial", &[]).is_err());
}
