use proptest::prelude::*;

use super::*;

fn hash(password: &[u8], setting: &str) -> Result<String, SettingError> {
    let (setting, _) = Setting::split(setting)?;
    Ok(Hash::of(Phrase::new(password).unwrap(), &setting).to_string())
}

/// What libxcrypt 4.4.33 gives.
const KNOWN: [(&str, &str); 16] = [
    ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
    ("Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"),
    (
        "Hello world!",
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    ),
    (
        "x",
        "$6$rounds=1000$abc$zaWpAwySRl8PX4W2aEMJwxpN82bCKtDZP0RBdOD6W7BQlilBqAsWnAZuS10iUyJZneS8Ob1gxs1BZkqJi1nTi.",
    ),
    (
        "x",
        "$6$rounds=5000$abc$K4v3HcZ8yAmpRfxML6S46NCcqy9r4/KdbQpFvqSWsBf4dgySOEOo1DHJTrmn2BsJK2aNmPN8Tfb826D2o9.z51",
    ),
    (
        "x",
        "$6$rounds=1000$$MwL1ngOSTyhRTmswE6q2bTvDqHdFuhV10m2l0x3JOy.OEau0xfOpeR/0OC9iLEfgib0feJ9KJveLUAQeA8NXr1",
    ),
    ("x", "$6$$KvRrc0bxRLyTUhO8OJOmRczh7oCol5BACiR8rmdfVzvuGgm8JmLDumsL/ah.jFtT.DswxoP9Nv3ByfU4j5hm/0"),
    (
        "x",
        "$6$ab_c+-,=@\"'{}[]($8fa49vHDfmCE6BLYca5oBfh8B6zFKKCgVbKEj/dmo8n1PIk9nNxUJrfS6ZTWx2LEPqFmRxacZi2k03uAAEqgJ0",
    ),
    ("x", "$5$rounds=1000$abc$UxKib5kobt2BZp/yfOEWbjik.BPMiS9MzbXyO6zXMC0"),
    ("x", "$1$$LP5.V3ajGqHDdXW6XwZQy."),
    ("x", "$1$rounds=1$mQoLoiI6SdN3sfWTuHeXv0"),
    ("x", "$2b$04$abcdefghijklmnopqrstuuPp7HPfoAs8I2dCQCQ/fW7zEJv8I8C8e"),
    ("x", "$2y$04$abcdefghijklmnopqrstuuPp7HPfoAs8I2dCQCQ/fW7zEJv8I8C8e"),
    ("x", "$y$j75$$F6x4/3a6JxiQtidq1fi5YpRHXxWElSlk9y0PXcIxPm2"),
    ("x", "$y$j75$abcdefghijklmnopqrstuvwxyz0123456789$oEttXCVdL.sbiRU9hvMJerN2xO.qd0CtqEyHU04mWT/"),
    ("x", "$y$j8T$abcd$1VU4xzX.9q/.yaccou1tkHZFUWji7pfy5d3occ4wsq9"),
];

#[test]
fn hashes_are_those_of_libxcrypt() {
    for (password, known) in KNOWN {
        assert_eq!(hash(password.as_bytes(), known).as_deref(), Ok(known));
        let parsed: Hash = known.parse().unwrap();
        assert!(parsed.matches(Phrase::new(password.as_bytes()).unwrap()), "{known}");
        assert!(!parsed.matches(Phrase::new(b"another").unwrap()), "{known}");
    }
}

#[test]
fn salts_are_cut_where_libxcrypt_cuts_them() {
    let sha = hash(b"x", "$6$abcdefghijklmnopqrstuvwxyz").unwrap();
    assert!(sha.starts_with("$6$abcdefghijklmnop$4MjOne1jVRKP4IuHRPFedC4vlQHNjvcBfQJVlfB8ciQ5YUzW"), "{sha}");
    assert_eq!(hash(b"x", "$1$abcdefghijkl").unwrap(), "$1$abcdefgh$znAnv9M.XU2pRYfmSs46h/");
    // bcrypt's salt is 128 bits in 132; what is left over of the last character is not written again.
    let spare = hash(b"x", "$2b$04$abcdefghijklmnopqrstuv").unwrap();
    assert_eq!(spare, KNOWN[11].1);
    // Such texts are settings and no hashes: what crypt(3) gives never equals them.
    let long = sha.replace("mnop$", "mnopq$");
    assert_eq!(long.parse::<Hash>(), Err(SettingError::Form));
}

#[test]
fn what_libxcrypt_refuses_is_refused() {
    let refused = [
        "",
        "x",
        "$",
        "$6",
        "$7$x",
        "$2a$04$abcdefghijklmnopqrstuu",
        "$6$rounds=999$abc",
        "$6$rounds=01000$abc",
        "$6$rounds=+1000$abc",
        "$6$rounds=1000",
        "$6$rounds=1000000000$abc",
        "$6$rounds=99999999999999999999$abc",
        "$6$ab:c",
        "$6$ab!c",
        "$6$ab c",
        "$6$ab*c",
        "$6$ab;c",
        "$6$ab\\c",
        "$6$ab\u{e4}",
        "$6$ab\n",
        "$2b$03$abcdefghijklmnopqrstuu",
        "$2b$4$abcdefghijklmnopqrstuuu",
        "$2b$32$abcdefghijklmnopqrstuu",
        "$2b$+4$abcdefghijklmnopqrstuu",
        "$2b$04$abcdefghijklmnopqrstu",
        "$2b$04$abcdefghijklmnopqrst-u",
        "$2b$04$\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}",
        "$y$j75$abc",
        "$y$j75$ab",
        "$y$j75$a",
        "$y$j75$abc!",
        "$y$j75$LdJMENpBABJJ3hIHjB1Bi",
        "$y$jA5$ab",
        "$y$.75$ab",
    ];
    for setting in refused {
        assert!(hash(b"x", setting).is_err(), "{setting}");
    }
    assert_eq!(Phrase::new(&[b'x'; PHRASE_BYTES_MAX + 1]).unwrap_err(), PhraseError::Long);
    assert_eq!(Phrase::new(b"a\0b").unwrap_err(), PhraseError::Nul);
}

#[test]
fn rounds_are_written_when_they_were_asked_for() {
    let setting = |method, rounds| Setting::new(method, rounds, Salt::Random([0; 16])).map(|s| s.to_string());
    assert_eq!(setting(Method::Sha512, None).unwrap(), "$6$................");
    assert_eq!(setting(Method::Sha512, Some(5000)).unwrap(), "$6$rounds=5000$................");
    assert_eq!(setting(Method::Sha256, Some(999_999_999)).unwrap(), "$5$rounds=999999999$................");
    assert_eq!(setting(Method::Md5, None).unwrap(), "$1$........");
    assert_eq!(setting(Method::Yescrypt, None).unwrap(), "$y$j9T$......................");
    assert_eq!(setting(Method::Yescrypt, Some(11)).unwrap(), "$y$jFT$......................");
    assert_eq!(setting(Method::Bcrypt, None).unwrap(), "$2b$10$......................");
    assert_eq!(setting(Method::Md5, Some(1000)), Err(SettingError::NoRounds(Method::Md5)));
    for (method, rounds) in
        [(Method::Sha512, 999), (Method::Sha256, 1 << 30), (Method::Yescrypt, 12), (Method::Bcrypt, 32)]
    {
        assert_eq!(setting(method, Some(rounds)), Err(SettingError::Rounds(method)));
    }
}

#[test]
fn bcrypt_looks_at_72_bytes() {
    let of = |length| hash(&vec![b'a'; length], "$2b$04$abcdefghijklmnopqrstuu").unwrap();
    assert_eq!(of(72), of(PHRASE_BYTES_MAX));
    assert_ne!(of(71), of(72));
    assert_eq!(Method::Bcrypt.phrase_bytes(), 72);
}

fn any_method() -> impl Strategy<Value = Method> {
    prop::sample::select(Method::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_hash_or_none(text in "\\$?(1|5|6|y|2b|2y)?\\$?(rounds=[0-9]{0,12}|j[5-9A-F][5T]|0[4-6])?\\$?.{0,60}") {
        if let Ok(hash) = text.parse::<Hash>() {
            prop_assert_eq!(hash.as_str(), text);
        }
    }

    #[test]
    fn a_setting_is_read_as_it_was_written(method in any_method(), salt: [u8; 16], rounds in 0_u32..2000) {
        let asked = method.rounds().map(|range| range.start() + rounds % (range.end() - range.start()));
        let setting = Setting::new(method, asked, Salt::Random(salt)).unwrap();
        let digest = "x".repeat(method.digest_chars());
        let text = setting.frame(&digest);
        prop_assert_eq!(Setting::split(&text).unwrap(), (setting, digest.as_str()));
        prop_assert_eq!(text.parse::<Hash>().unwrap().method(), method);
    }

    #[test]
    fn bytes_survive_the_codes(bytes: Vec<u8>) {
        let decoded = base64::decode(&base64::encode(bytes.iter().copied()));
        prop_assert_eq!(decoded.as_ref(), Some(&bytes));
        prop_assert_eq!(base64::decode_bcrypt(&base64::encode_bcrypt(&bytes)), Some(bytes));
    }
}
