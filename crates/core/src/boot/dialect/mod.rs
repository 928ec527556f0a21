//! The languages that loaders read.
