//! Text with `{{ holes }}`.
//!
//! Templates are minijinja (Jinja2) and see seven names: `client` (what the machine reported), `machine`,
//! `server`, `vars`, `password` (hashes only), `boot` and, in answers of installers, `install`. All but the keys of `vars` are known when the config is read, so a misspelt one
//! is an error then, and Bootlace knows what to ask a machine for. There is no `include` and no `safe` filter:
//! what a machine reported is escaped for the language of the text wherever it ends up, see `super::escape`.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use crate::model::Var;

mod context;
mod filters;
mod formatter;
mod language;
mod names;

pub use context::{Context, Links, Server};
pub use language::Language;

/// Instructions that one rendering may take: a script of a thousand lines with loops stays far below.
const FUEL: u64 = 200_000;

/// The longest text of a template file.
pub const TEMPLATE_BYTES_MAX: usize = 256 * 1024;

/// The longest rendered text. iPXE keeps a script in memory; kernels take 2 to 4 KiB of arguments.
pub const RENDERED_BYTES_MAX: usize = 256 * 1024;

/// A compiled template.
#[derive(Clone)]
pub struct Template {
    language: Language,
    text: Arc<str>,
    body: Body,
    uses: BTreeSet<Var>,
    vars: BTreeSet<String>,
    passwords: BTreeSet<String>,
}

#[derive(Clone)]
enum Body {
    /// Without holes: most URLs and many command lines.
    Plain,
    /// With an environment of its own, in which it is called [`NAME`]. Filters are shared by all.
    Compiled(Arc<Environment<'static>>),
}

/// What every template is called in its own environment.
const NAME: &str = "template";

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the text.
    pub span: Range<usize>,
    /// What to write instead.
    pub fix: Option<String>,
}

/// Why a template gave no text for one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderError {
    /// What is wrong.
    pub message: String,
    /// Line and column of the template, from 1, where known.
    pub place: Option<(usize, usize)>,
}

/// Compiled from the same text for the same place.
impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.language == other.language && self.text == other.text
    }
}

impl Template {
    /// Compiles a text. `name` is a file's, or the key that the text stands in; errors give places in the text.
    pub fn parse(name: &str, text: &str, language: Language) -> Result<Self, TemplateError> {
        let whole = |message: String| TemplateError { message, span: 0..text.len(), fix: None };
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(whole(format!("{name} is longer than {TEMPLATE_BYTES_MAX} bytes")));
        }
        if !language.is_of_files() {
            refuse_ipxe_settings(text)?;
        }
        let plain = !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark));
        if plain {
            let (uses, vars, passwords) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
            return Ok(Self { language, text: text.into(), body: Body::Plain, uses, vars, passwords });
        }
        let mut environment = base(language);
        environment.add_template_owned(NAME, text.to_owned()).map_err(|error| syntax_error(&error, text))?;
        let names = {
            let template = environment.get_template(NAME).map_err(|error| syntax_error(&error, text))?;
            names::check(&template.undeclared_variables(true), language, text)?
        };
        let body = Body::Compiled(Arc::new(environment));
        let names::Names { uses, vars, passwords } = names;
        Ok(Self { language, text: text.into(), body, uses, vars, passwords })
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it renders to.
    pub fn language(&self) -> Language {
        self.language
    }

    /// What it reads of what machines report.
    pub fn uses(&self) -> &BTreeSet<Var> {
        &self.uses
    }

    /// The keys of `vars` that it reads.
    pub fn vars(&self) -> &BTreeSet<String> {
        &self.vars
    }

    /// The passwords that it inserts.
    pub fn passwords(&self) -> &BTreeSet<String> {
        &self.passwords
    }

    /// The text for one machine.
    pub fn render(&self, context: &Context<'_>) -> Result<String, RenderError> {
        let Body::Compiled(environment) = &self.body else { return Ok(self.text.to_string()) };
        let mut rendered = Bounded(Vec::new());
        environment
            .get_template(NAME)
            .and_then(|template| template.render_captured_to(context.value(self), &mut rendered))
            .map_err(|error| RenderError::from(&error))?;
        // minijinja drops the last line end, without which the last line of a file may not count.
        if self.language.is_of_files() && self.text.ends_with('\n') {
            rendered.0.push(b'\n');
        }
        // minijinja writes whole strings, and what was cut off was an error above.
        Ok(String::from_utf8_lossy(&rendered.0).into_owned())
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("language", &self.language).field("text", &self.text).finish()
    }
}

/// The environment that all templates of a language start from: its filters are made once.
fn base(language: Language) -> Environment<'static> {
    static BASES: LazyLock<[(Language, Environment<'static>); Language::ALL.len()]> =
        LazyLock::new(|| Language::ALL.map(|language| (language, new_base(language))));
    let base = BASES.iter().find(|(known, _)| *known == language);
    base.map_or_else(|| new_base(language), |(_, base)| base.clone())
}

fn new_base(language: Language) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    // With a mode of its own minijinja knows that it must route mixed values through our formatter.
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("bootlace".into()));
    environment.set_formatter(move |out, state, value| formatter::write(out, state, value, language));
    // `safe` would let a reported value through; the others print in ways that our formatter does not see.
    for filter in ["safe", "format", "pprint"] {
        environment.remove_filter(filter);
    }
    environment.remove_global("debug");
    filters::add(&mut environment, language);
    environment
}

/// A buffer that stops at [`RENDERED_BYTES_MAX`].
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > RENDERED_BYTES_MAX {
            return Err(std::io::Error::other(format!(
                "the text gets longer than {RENDERED_BYTES_MAX} bytes"
            )));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// `${...}` means something to iPXE only; a plan is for every loader.
fn refuse_ipxe_settings(text: &str) -> Result<(), TemplateError> {
    let Some(at) = text.match_indices("${").map(|(at, _)| at).find(|at| !text[*at..].starts_with("${{"))
    else {
        return Ok(());
    };
    let rest = &text[at..];
    let end = rest.find('}').map_or(text.len(), |close| at + close + 1);
    let setting = rest.trim_start_matches("${").split([':', '}']).next().unwrap_or_default();
    let var = Var::all().find(|var| {
        var.ipxe_setting()
            .is_some_and(|known| known == setting || known.rsplit('/').next() == setting.rsplit('/').next())
    });
    let fix = var.map(|var| format!("write {{{{ client.{} }}}}", names::key(var)));
    Err(TemplateError {
        message: "`${...}` is understood by iPXE scripts only".to_owned(),
        span: at..end,
        fix,
    })
}

fn syntax_error(error: &Error, text: &str) -> TemplateError {
    let span = error.range().filter(|span| text.get(span.clone()).is_some()).unwrap_or(0..text.len());
    TemplateError { message: describe(error), span, fix: None }
}

/// What minijinja says, without its own template name and position.
fn describe(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

impl From<&Error> for RenderError {
    fn from(error: &Error) -> Self {
        let message = match error.kind() {
            ErrorKind::OutOfFuel => "it takes too many steps; is there an endless loop?".to_owned(),
            _ => {
                let source = std::error::Error::source(error).map(|cause| format!(" ({cause})"));
                let place = error.range().and_then(|span| error.template_source()?.get(span));
                let place = place.map(|place| format!(" at `{place}`"));
                format!("{}{}{}", describe(error), place.unwrap_or_default(), source.unwrap_or_default())
            }
        };
        let place = error.range().and_then(|span| {
            let before = error.template_source()?.get(..span.start)?;
            let line = before.rsplit('\n').next().unwrap_or_default();
            Some((before.matches('\n').count() + 1, line.chars().count() + 1))
        });
        Self { message, place }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TemplateError {}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "line {line}, column {column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for RenderError {}

#[cfg(test)]
mod tests;
