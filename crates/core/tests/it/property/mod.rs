//! What must hold for any bytes at all; the fuzz targets include these files, too.

pub(crate) mod config_reader;
pub(crate) mod script_query;
