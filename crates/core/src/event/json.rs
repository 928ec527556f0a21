//! How the journal's JSON holds the types that have a text of their own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::BootName;
use crate::model::{Facts, Reporting, Text};

/// `#[serde(with = "json::text")]`: a value as the text that it prints and parses.
pub(super) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(in super::super) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom(format_args!("unknown value {text:?}")))
    }
}

/// The same for a value that may be absent. One that this release does not know counts as absent.
pub(super) mod optional_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.and_then(|text| text.parse().ok()))
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Text {
    /// Cleans again: a file on disk is no better than a packet.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(from).map(|text| Self::from(text.as_ref()))
    }
}

impl Serialize for BootName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for BootName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(from)?;
        Self::new(&name).ok_or_else(|| D::Error::custom(format_args!("{name:?} is no name of a boot")))
    }
}

/// Facts by the names that rules use.
#[derive(Serialize)]
struct FactsOut<'a> {
    values: BTreeMap<&'static str, &'a str>,
    reporting: Reporting,
}

#[derive(Deserialize)]
struct FactsIn {
    #[serde(default)]
    values: BTreeMap<String, Text>,
    #[serde(default)]
    reporting: Reporting,
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let values = self.iter().map(|(var, value)| (var.name(), value)).collect();
        FactsOut { values, reporting: self.reporting }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Facts {
    /// Variables that this release does not know are left out.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = FactsIn::deserialize(from)?;
        let mut facts = Self::new();
        for (name, value) in read.values {
            if let Ok(var) = name.parse() {
                facts.set(var, value);
            }
        }
        facts.reporting = read.reporting;
        Ok(facts)
    }
}
