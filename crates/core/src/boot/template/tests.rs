use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::*;
use crate::config::{BootName, Machine, Overrides, Passwords, Vars};
use crate::model::Facts;

fn parse(text: &str, language: Language) -> Template {
    Template::parse("test", text, language).unwrap()
}

fn refused(text: &str, language: Language) -> TemplateError {
    Template::parse("test", text, language).unwrap_err()
}

struct World {
    facts: Facts,
    machine: Option<Machine>,
    server: Server,
    boot: BootName,
    vars: Vars,
    passwords: Passwords,
}

impl World {
    fn new() -> Self {
        let mut facts = Facts::new();
        facts.set(Var::Mac, "52:54:00:12:34:56");
        facts.set(Var::Serial, "S 1; shell");
        facts.set(Var::NextServer, "10.188.0.10");
        Self {
            facts,
            machine: None,
            server: Server { ip: Ipv4Addr::new(10, 188, 0, 10), url: "http://pxe.example.com".into() },
            boot: BootName::new("rescue").unwrap(),
            vars: BTreeMap::from([
                ("role".into(), "web".into()),
                ("args".into(), "quiet console=ttyS0".into()),
            ]),
            passwords: Passwords::default(),
        }
    }

    fn render(&self, text: &str, language: Language) -> Result<String, RenderError> {
        let context = Context {
            install: None,
            facts: &self.facts,
            machine: self.machine.as_ref(),
            server: &self.server,
            boot: &self.boot,
            vars: &self.vars,
            passwords: &self.passwords,
        };
        parse(text, language).render(&context)
    }

    fn args(&self, text: &str) -> String {
        self.render(text, Language::KernelArgs).unwrap()
    }
}

fn web1() -> Machine {
    Machine {
        name: "web1".into(),
        macs: Vec::new(),
        uuid: None,
        client_id: None,
        serial: Some("of the config".into()),
        address: Some(Ipv4Addr::new(10, 188, 0, 61)),
        overrides: Overrides::default(),
    }
}

#[test]
fn everything_that_templates_see() {
    let mut world = World::new();
    let text = "{{ machine.name }} {{ machine.mac }} {{ machine.serial }} {{ machine.address }} {{ machine.uuid }}|\
                {{ client.next_server }} {{ client.asset }}|{{ server.ip }} {{ server.url }}|{{ vars.role }} {{ boot.name }}";
    assert_eq!(
        world.args(text),
        "52-54-00-12-34-56 52:54:00:12:34:56 S_1__shell  |10.188.0.10 |10.188.0.10 http://pxe.example.com|web rescue"
    );
    world.machine = Some(web1());
    assert_eq!(
        world.args("{{ machine.name }} {{ machine.serial }} {{ machine.address }}"),
        "web1 of_the_config 10.188.0.61"
    );
}

#[test]
fn reported_values_are_one_word_whatever_filters_do_to_them() {
    let world = World::new();
    let cases = [
        "{{ client.serial }}",
        "{{ client.serial | upper | lower }}",
        "{{ client['serial'] }}",
        "{{ client.serial | replace('1', vars.args) }}",
        "{{ [vars.role, client.serial] | join(';') }}",
        "{{ vars.role ~ client.serial }}",
        "{% set x %}{{ client.serial }}{% endset %}{{ x }}",
        "{% autoescape false %}{{ client.serial }}{% endautoescape %}",
        "{% for c in client.serial | split(';') %}{{ c }}{% endfor %}",
        "{{ [client.serial] }}",
        "{{ {'a': client.serial} }}",
        "{{ client.serial | escape }}",
        "{{ client.serial | indent(2) }}",
        "{% filter upper %}{{ client.serial }}{% endfilter %}",
    ];
    for text in cases {
        // A subscript of `client` cannot be seen through and is refused altogether.
        let Ok(template) = Template::parse("test", text, Language::Ipxe) else {
            assert!(text.contains("client["), "{text}");
            continue;
        };
        let context = Context {
            install: None,
            facts: &world.facts,
            machine: None,
            server: &world.server,
            boot: &world.boot,
            vars: &world.vars,
            passwords: &world.passwords,
        };
        let rendered = template.render(&context).unwrap();
        let words: Vec<_> = rendered.split_whitespace().collect();
        assert!(!words.contains(&";") && !words.contains(&"shell"), "{text} gave {rendered}");
    }
    let safe = world.render("{{ client.serial | safe }}", Language::Ipxe).unwrap_err();
    assert!(safe.message.contains("safe"), "{safe}");
}

#[test]
fn the_configs_own_values_may_be_several_words() {
    let world = World::new();
    assert_eq!(world.args("root=/dev/sda {{ vars.args }}"), "root=/dev/sda quiet console=ttyS0");
    assert_eq!(
        world.render("{{ server.url }}/{{ client.serial }}?x={{ client.mac }}", Language::Url).unwrap(),
        "http://pxe.example.com/S%201%3B%20shell?x=52%3A54%3A00%3A12%3A34%3A56"
    );
    assert_eq!(
        world.render("iqn.2007-08.com.example:{{ client.mac }}", Language::Iscsi).unwrap(),
        "iqn.2007-08.com.example:52-54-00-12-34-56"
    );
    assert_eq!(
        world.render("chain x?s={{ client.serial | urlencode }}", Language::Ipxe).unwrap(),
        "chain x?s=S%201%3B%20shell"
    );
}

#[test]
fn what_a_template_reads_is_known_before_it_runs() {
    let template = parse(
        "{% if client.next_server %}{{ machine.name }}{% endif %}{{ vars.role | default('x') }} {{ machine.uuid }}",
        Language::KernelArgs,
    );
    assert_eq!(*template.uses(), [Var::Mac, Var::Uuid, Var::NextServer].into());
    assert_eq!(*template.vars(), ["role".to_owned()].into());
    assert!(parse("quiet", Language::KernelArgs).uses().is_empty());
}

#[test]
fn mistakes_point_at_their_place() {
    let cases = [
        ("a {{ client.serail }}", "client.serail", "did you mean `client.serial`?"),
        ("{{ client.board-serial }}", "client.board", "did you mean `client.board_serial`?"),
        ("{{ clinet.serial }}", "clinet", "did you mean `client`?"),
        ("{{ machine.nmae }}", "machine.nmae", "did you mean `machine.name`?"),
        ("{{ server.port }}", "server.port", "`server` has ip, url"),
        ("{{ client }} ", "client", ""),
        ("{{ password }} ", "password", ""),
        ("x {{ client.serial", "", ""),
        ("{% include 'x' %}", "", ""),
        ("console=ttyS0 BOOTIF=01-${netX/mac:hexhyp}", "${netX/mac:hexhyp}", "write {{ client.mac }}"),
    ];
    for (text, place, fix) in cases {
        let error = refused(text, Language::KernelArgs);
        assert!(error.fix.as_deref().unwrap_or_default().contains(fix), "{text}: {error:?}");
        assert!(text[error.span.clone()].starts_with(place), "{text}: {error:?}");
    }
    // Others log URLs.
    for language in [Language::Url, Language::Iscsi] {
        let error = refused("http://x/{{ password.root }}", language);
        assert!(error.span == (12..25) && error.fix.unwrap().contains("cmdline"));
    }
    // A script may use iPXE's own settings.
    parse("#!ipxe\necho ${netX/mac}\n", Language::Ipxe);
}

#[test]
fn what_fails_for_one_machine_says_why() {
    let world = World::new();
    let missing = world.render("a\n{{ vars.missing }}", Language::Ipxe).unwrap_err();
    assert_eq!(missing.place, Some((2, 4)));
    assert!(missing.message.contains("vars.missing"), "{missing}");
    let endless = "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}";
    assert!(world.render(endless, Language::Ipxe).unwrap_err().message.contains("steps"));
    let long = "{% for i in range(1000) %}{{ vars.role * 1000 }}{% endfor %}";
    let long = world.render(long, Language::Ipxe).unwrap_err();
    assert!(long.message.contains("longer"), "{long}");
}
