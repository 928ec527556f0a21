//! Filters beside those of minijinja. What they give holds nothing that means something anywhere, whatever they are
//! given; and what they cannot read they turn into nothing, since a machine's own word is no reason to refuse it a boot.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bootlace_wire::Mac;
use minijinja::value::{Object, Value};
use minijinja::{Environment, Error, ErrorKind};

use super::Language;
use super::formatter::origin;
use crate::boot::escape::{query_value, quoted};

/// One whole literal of a language, which is printed as it is. Joined with other text it is text again, and no longer
/// harmless by itself.
#[derive(Debug)]
pub(super) struct Literal(String);

impl Literal {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Object for Literal {
    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) fn add(environment: &mut Environment<'static>, language: Language) {
    for name in ["urlencode", "url"] {
        environment.add_filter(name, |value: &str| Value::from_safe_string(query_value(value)));
    }
    environment.add_filter("hexip", |value: &str| {
        let address = value.parse::<Ipv4Addr>().map(|ip| format!("{:08X}", u32::from(ip)));
        Value::from_safe_string(address.unwrap_or_default())
    });
    environment.add_filter("dashmac", |value: &str| {
        Value::from_safe_string(value.parse::<Mac>().map(|mac| mac.dashed()).unwrap_or_default())
    });
    environment.add_filter("quote", move |value: Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let literal = quoted(language, origin(&value), &text);
        literal
            .map(|literal| Value::from_object(Literal(literal)))
            .map_err(|why| Error::new(ErrorKind::InvalidOperation, why))
    });
}
