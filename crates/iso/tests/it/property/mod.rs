//! What holds for every input, shared with the fuzz targets.

pub(crate) mod iso_image;
