//! x
mod chain; mod check; mod connect; mod decode; mod params; mod script; mod target; mod utxo;
pub use chain::{Chain, Verdict};
