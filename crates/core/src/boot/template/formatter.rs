//! How values get into a text: through here, all of them.

use minijinja::value::Value;
use minijinja::{Error, ErrorKind, Output, State, UndefinedBehavior};

use super::Language;
use super::filters::Literal;
use crate::boot::escape::{Origin, refusal, write_value};

/// Texts of the config are marked as safe, and stay so only as long as nothing is joined to them.
pub(super) fn origin(value: &Value) -> Origin {
    if value.is_safe() { Origin::Configured } else { Origin::Reported }
}

pub(super) fn write(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
    language: Language,
) -> Result<(), Error> {
    if value.is_undefined() && state.env().undefined_behavior() == UndefinedBehavior::Strict {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if let Some(literal) = value.downcast_object_ref::<Literal>() {
        return out.write_str(literal.as_str()).map_err(Error::from);
    }
    let printed;
    let text = match value.as_str() {
        Some(text) => text,
        None => {
            printed = value.to_string();
            &printed
        }
    };
    let origin = origin(value);
    if origin == Origin::Configured
        && let Some(why) = refusal(language, text)
    {
        return Err(Error::new(ErrorKind::InvalidOperation, why));
    }
    write_value(out, language, origin, text).map_err(Error::from)
}
