//! No value ends its token: what templates of each language become is read by that language's real parser.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use bootlace_core::boot::template::{Context, Language, Links, Server, Template};
use bootlace_core::config::{Config, Passwords, Source, Vars, load};
use bootlace_core::model::{Facts, Text, Var};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config as Cases, RngSeed, TestRunner};

use super::hostile::value;
use super::sample::{SERVER, name, template};

/// What one machine reports and what `vars.text` holds.
struct Values {
    reported: String,
    text: String,
}

/// The same on every run: what each sign does alone, and many of them together.
fn values(count: usize) -> Vec<Values> {
    let mut runner = TestRunner::new(Cases { rng_seed: RngSeed::Fixed(0x6c61_6e67), ..Cases::default() });
    let mut drawn = || value().new_tree(&mut runner).unwrap().current();
    let signs = (' '..='~').chain("\n\t\u{85}\u{a0}\u{2028}é€😀".chars());
    let alone = signs.flat_map(|sign| {
        [
            format!("{sign}"),
            format!("a{sign}b"),
            format!("a {sign} b"),
            format!("{sign}{sign}{sign}"),
            format!("a{sign}"),
        ]
    });
    let alone: Vec<_> = alone.map(|text| Values { reported: text.clone(), text }).collect();
    let drawn = (0..count).map(|_| Values { reported: drawn(), text: drawn() });
    // An empty value changes the words of a line, which is not what this is about.
    alone.into_iter().chain(drawn).filter(|values| !Text::from(values.reported.as_str()).is_empty()).collect()
}

fn render(template: &Template, values: &Values) -> String {
    let mut facts = Facts::new();
    facts.set(Var::Serial, Text::clean(values.reported.as_bytes()));
    let (boot, passwords) = (name("x"), Passwords::default());
    let server = Server { ip: SERVER, url: "http://10.188.0.10".into() };
    let vars = Vars::from([("text".to_owned(), values.text.clone())]);
    let context = Context {
        install: None,
        facts: &facts,
        machine: None,
        server: &server,
        boot: &boot,
        vars: &vars,
        passwords: &passwords,
    };
    template
        .render(&context)
        .unwrap_or_else(|error| panic!("{:?}, {:?}: {error}", values.reported, values.text))
}

/// What a program says to `input`. A host without it can only run the other tests; CI must not be such a host.
fn said(program: &str, arguments: &[&str], input: &str) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // debconf's own database is locked while apt or another test uses it.
    let own = format!("File{{{}/debconf-{}}}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    command.env("DEBCONF_DB_REPLACE", own);
    let mut child = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound && std::env::var_os("CI").is_none() => return None,
        spawned => {
            spawned.unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask setup` installs it"))
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // Whoever stops reading has said why.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Some(output)
}

/// A list as Python reads it in source text.
fn python_list(texts: impl Iterator<Item = String>) -> String {
    let quoted = texts.map(|text| {
        let signs = text.chars().map(|c| format!("\\U{:08x}", u32::from(c)));
        format!("\"{}\"", signs.collect::<String>())
    });
    format!("[{}]", quoted.collect::<Vec<_>>().join(","))
}

/// Gives documents, what was reported and the texts of the config to a Python program that ends with a mistake if one
/// of them is not as it must be. `found` counts them.
fn python_takes(language: Language, text: &str, check: &str) {
    let (template, values) = (template(text, language), values(400));
    let documents = python_list(values.iter().map(|values| render(&template, values)));
    let reported =
        python_list(values.iter().map(|values| Text::clean(values.reported.as_bytes()).as_str().to_owned()));
    let texts = python_list(values.iter().map(|values| values.text.clone()));
    let program = format!(
        "documents={documents}\nreported={reported}\ntexts={texts}\nfound=0\n\
         for document, said, text in zip(documents, reported, texts):\n  try:\n{check}\n  except Exception as error:\n    \
         raise SystemExit(f'{{error!r}}\\n{{document!r}}')\n  found += 1\nprint(found)\n"
    );
    let Some(output) = said("python3", &["-"], &program) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), values.len().to_string());
}

#[test]
fn yaml() {
    let text = "bare: {{ client.serial }}\n\
                double: \"{{ client.serial }}\"\n\
                single: 'a {{ client.serial }} b'\n\
                flow: [{{ client.serial }}, {{ client.serial | quote }}, x]\n\
                map: {a: {{ client.serial }}, b: x}\n\
                list:\n- {{ client.serial }}\n- x {{ client.serial }}\n\
                block: |\n  {{ client.serial }}\n\
                quoted: {{ client.serial | quote }}\n\
                misquoted: \"{{ client.serial | quote | upper }}\"\n\
                text: {{ vars.text | quote }}\n\
                {{ client.serial }}: key\n";
    python_takes(
        Language::Yaml,
        text,
        "    import yaml; d = yaml.safe_load(document)\n    \
         assert list(d)[:-1] == ['bare', 'double', 'single', 'flow', 'map', 'list', 'block', 'quoted', 'misquoted', 'text']\n    \
         assert len(d) == 11 and list(d.values())[-1] == 'key'\n    \
         assert len(d['flow']) == 3 and list(d['map']) == ['a', 'b'] and len(d['list']) == 2\n    \
         assert d['text'] == text and all(type(d[key]) is str for key in ['double', 'single', 'quoted', 'block'])",
    );
}

#[test]
fn json() {
    python_takes(
        Language::Json,
        r#"{"a": "{{ client.serial }}", "b": {{ client.serial | quote }}, "c": {{ vars.text | quote }}, "d": ["x{{ client.serial }}"]}"#,
        "    import json; d = json.loads(document)\n    \
         assert list(d) == ['a', 'b', 'c', 'd'] and d['c'] == text and len(d['d']) == 1",
    );
}

/// XML keeps what the config says as it is, and is a shell's script in places.
#[test]
fn xml() {
    python_takes(
        Language::Xml,
        "<a b=\"{{ client.serial }}\" c='{{ client.serial }}' d=\"{{ vars.text }}\">{{ client.serial }}\
         <!--{{ client.serial }}--><!-- {{ vars.text }} --><e><![CDATA[{{ client.serial }}]]></e>\
         <script>echo {{ client.serial }} \"{{ client.serial }}\"</script></a>",
        "    import xml.etree.ElementTree as tree, re; d = tree.fromstring(document)\n    \
         clean = lambda value: re.sub('[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\ufffe\\uffff]', '_', value)\n    \
         assert list(d.attrib) == ['b', 'c', 'd'] and [e.tag for e in d] == ['e', 'script'] and not list(d[0])\n    \
         assert d.attrib['b'] == d.attrib['c'] == d.text == d[0].text, (d.text, said)\n    \
         assert re.fullmatch('[A-Za-z0-9._/+@:,-]+', d.text) and d[1].text == f'echo {d.text} \"{d.text}\"', (d.text, said)\n    \
         assert d.attrib['d'] == clean(text), text",
    );
}

/// Commands of kickstart are split as `shlex` does it, which is what pykickstart calls.
#[test]
fn kickstart() {
    python_takes(
        Language::Kickstart,
        "x {{ client.serial }} \"{{ client.serial }}\" 'a {{ client.serial }}' {{ client.serial | quote }} \
         --a={{ client.serial }} \"{{ client.serial | quote }}\"\n%post\necho {{ client.serial }}\n%end\n",
        "    import shlex; lines = document.split('\\n')\n    \
         assert [len(shlex.split(line, comments=True)) for line in lines if 'quote' not in line][1:] == [1, 2, 1, 0], lines\n    \
         words = shlex.split(lines[0], comments=True)[:6]\n    \
         assert words[0] == 'x' and len(words) == 6 and not words[1].startswith('-')",
    );
}

/// Five words, whatever their values are; the last is the config's own text, exactly.
const WORDS: &str = "{{ client.serial }} \"{{ client.serial }}\" 'a {{ client.serial }}' {{ client.serial | quote }} {{ vars.text | quote }}";

/// What no quotes of one line can hold is refused, see `what_cannot_stand_is_refused`.
fn in_lines(count: usize) -> Vec<Values> {
    let mut values = values(count);
    values.retain(|values| !values.text.contains(char::is_control));
    values
}

#[test]
fn shell() {
    let template = template(&format!("printf '%s\\0' {WORDS}\nprintf '\\n\\0'\n"), Language::Shell);
    let values = in_lines(400);
    let script: String = values.iter().map(|values| render(&template, values)).collect();
    let Some(output) = said("dash", &["-u"], &script) else { return };
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    let found: Vec<Vec<&str>> = printed
        .trim_end_matches("\n\0")
        .split("\n\0")
        .map(|line| line.trim_end_matches('\0').split('\0').collect())
        .collect();
    assert_eq!(found.len(), values.len());
    for (words, values) in found.iter().zip(&values) {
        assert_eq!(words.len(), 5, "{words:?} of {:?}", values.reported);
        assert_eq!(words[4], values.text);
    }
}

#[test]
fn grub() {
    let template = template(&format!("if true; then\necho {WORDS}\nfi\n"), Language::Grub);
    for values in in_lines(40).chunks(50) {
        let script: String = values.iter().map(|values| render(&template, values)).collect();
        let Some(output) = said("grub-script-check", &[], &script) else { return };
        assert!(output.status.success(), "{}\n{script}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn preseed() {
    let text = "d-i netcfg/hostname string {{ client.serial }}\n\
                d-i preseed/late_command string echo {{ client.serial }} {{ vars.text | quote }}\n";
    let template = template(text, Language::Preseed);
    let values = in_lines(400);
    let answers: String = values.iter().map(|values| render(&template, values)).collect();
    assert_eq!(answers.lines().count(), 2 * values.len());
    let Some(output) = said("debconf-set-selections", &["--checkonly"], &answers) else { return };
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn what_cannot_stand_is_refused() {
    for (language, text) in [
        (Language::Yaml, "a: b"),
        (Language::Yaml, "say \"x\""),
        (Language::Yaml, "- x"),
        (Language::Yaml, "[a, b]"),
        (Language::Json, "a\\b"),
        (Language::Shell, "$(reboot)"),
        (Language::Shell, "a; b"),
        (Language::Grub, "$x"),
        (Language::Preseed, "a\nd-i x y z"),
        (Language::Preseed, "a\\"),
        (Language::Pxelinux, "a\nlabel x"),
        (Language::Kickstart, "a\n%post"),
        (Language::Kickstart, "%post"),
        (Language::Kickstart, "a # b"),
    ] {
        let (facts, boot, passwords) = (Facts::new(), name("x"), Passwords::default());
        let server = Server { ip: SERVER, url: "http://10.188.0.10".into() };
        let vars = Vars::from([("text".to_owned(), text.to_owned())]);
        let context = Context {
            install: None,
            facts: &facts,
            machine: None,
            server: &server,
            boot: &boot,
            vars: &vars,
            passwords: &passwords,
        };
        let error = template("x\n  {{ vars.text }}", language).render(&context).unwrap_err();
        assert_eq!(error.place, Some((2, 6)), "{error}");
        assert!(error.message.contains("a value of the config"), "{error}");
    }
}

#[test]
fn what_people_write_stands_as_it_is() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJk+/= admin@example.com";
    let hash = "$6$rounds=9999$salt$MUc/.x";
    for (language, text) in [
        (Language::Yaml, key),
        (Language::Yaml, hash),
        (Language::Yaml, "http://10.188.0.10:8080/a?b=c&d"),
        (Language::Json, key),
        (Language::Preseed, hash),
        (Language::Kickstart, hash),
        (Language::Kickstart, key),
        (Language::Pxelinux, "quiet console=ttyS0,115200n8"),
        (Language::Shell, key),
    ] {
        let values = Values { reported: String::new(), text: text.to_owned() };
        assert_eq!(render(&template("{{ vars.text }}", language), &values), text, "{language}");
    }
}

#[test]
fn filters() {
    let values = |reported: &str| Values { reported: reported.to_owned(), text: String::new() };
    let cases = [
        ("{{ client.serial | hexip }}", "10.188.0.61", "0ABC003D"),
        ("{{ client.serial | hexip }}", "10.188.0", ""),
        ("01-{{ client.serial | dashmac }}", "52:54:00:12:34:56", "01-52-54-00-12-34-56"),
        ("{{ client.serial | dashmac }}", "\"; x", ""),
        ("{{ client.serial | url }}", "a b/c", "a%20b%2Fc"),
        ("{{ client.serial | quote }}", "a b; c", "'a b_ c'"),
    ];
    for (text, reported, expected) in cases {
        assert_eq!(render(&template(text, Language::Shell), &values(reported)), expected, "{text}");
    }
}

/// The examples as a machine gets them, in the eyes of who reads them.
#[test]
fn the_examples_are_what_their_readers_take() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/templates");
    let rendered = |file: &str| {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let template = template(&text, Language::of_file(file).unwrap());
        let (boot, facts) = (name("x"), Facts::new());
        let server = Server { ip: SERVER, url: "http://10.188.0.10".into() };
        let key = "ssh-ed25519 AAAA+/x== admin's \"key\"@example.com";
        let vars =
            [("disk".to_owned(), "/dev/sda".to_owned()), ("ssh_key".to_owned(), key.to_owned())].into();
        let config = config_of_passwords();
        let links = Links { url: "http://h/answer/T".into(), done: "http://h/done/T".into() };
        let context = Context {
            install: Some(&links),
            facts: &facts,
            machine: None,
            server: &server,
            boot: &boot,
            vars: &vars,
            passwords: &config.passwords,
        };
        template.render(&context).unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    let preseed = rendered("preseed.cfg");
    assert!(
        preseed.contains("password hash-of-root\n") && preseed.ends_with("http://h/done/T\n"),
        "{preseed}"
    );
    if let Some(output) = said("debconf-set-selections", &["--checkonly"], &preseed) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let python = |text: &str, check: &str| {
        let program = format!("document={}[0]\n{check}", python_list([text.to_owned()].into_iter()));
        let Some(output) = said("python3", &["-"], &program) else { return };
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "'ssh-ed25519 AAAA+/x== admin\\'s \"key\"@example.com'";
    python(
        &rendered("user-data"),
        &format!(
            "import yaml\nd = yaml.safe_load(document)['autoinstall']\n\
             assert d['version'] == 1 and d['identity']['password'] == 'hash-of-root'\n\
             assert d['ssh']['authorized-keys'] == [{key}]\n\
             assert d['late-commands'] == ['curl --silent --show-error http://h/done/T']\n"
        ),
    );
    python(
        &rendered("config.ign"),
        &format!(
            "import json\nd = json.loads(document)\nuser = d['passwd']['users'][0]\n\
             assert user['passwordHash'] == 'hash-of-root' and user['sshAuthorizedKeys'] == [{key}]\n\
             assert 'http://h/done/T\\n' in d['systemd']['units'][0]['contents']\n"
        ),
    );
    python(
        &rendered("host.ks"),
        &format!(
            "import shlex\nlines = [shlex.split(line) for line in document.splitlines()]\n\
             assert ['rootpw', '--iscrypted', 'hash-of-root'] in lines\n\
             assert ['sshkey', '--username=root', {key}] in lines\n\
             assert ['curl', '--silent', '--show-error', 'http://h/done/T'] in lines\n"
        ),
    );
}

/// With a password whose hash is not made, as for who only looks.
fn config_of_passwords() -> Config {
    let text = "[password.root]\nfile = \"root\"\n";
    let source = Source { name: "x".into(), folder: PathBuf::new(), text: text.into() };
    let files = [(PathBuf::from("root"), Ok("geheim".to_owned()))].into();
    load(&source, &files).unwrap_or_else(|findings| panic!("{findings:?}")).config
}
