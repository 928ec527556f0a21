//! Properties that the fuzz targets share.

pub(crate) mod overlay_map;
