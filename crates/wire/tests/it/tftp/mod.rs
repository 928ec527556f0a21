//! The TFTP transfer machine: rule by rule in scripted time, then against model clients on a bad link.

mod clients;
mod link;
mod lossy;
mod properties;
mod rules;
mod script;
