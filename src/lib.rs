//! adit: a mining pool in one program.

pub mod daemon;
pub mod tasks;
