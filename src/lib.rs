//! adit: a mining pool in one program.

pub mod tasks;
pub mod worker;
