//! Text with `{{ holes }}`.

/// A compiled template.
#[derive(Clone, Debug)]
pub struct Template {}
