//! adit: a mining pool in one program.

pub mod share_log;
pub mod tasks;
