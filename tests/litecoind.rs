//! litecoind
