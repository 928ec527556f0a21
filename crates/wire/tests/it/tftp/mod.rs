//! The TFTP transfer machine: rule by rule in scripted time, then against model clients on a bad link.

mod rules;
mod script;
