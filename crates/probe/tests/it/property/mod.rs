//! Properties of any input, shared with the fuzz targets.

pub(crate) mod client;
