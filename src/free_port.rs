//! Ports for the daemons of tests.

use std::{
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    sync::atomic::{AtomicU32, Ordering},
};

/// Whoever asks the system for any port gets one above these.
const PORTS: Range<u32> = 20_000..32_768;

/// A port that nothing listens on, and that nobody gets by chance. None is given twice.
pub(crate) fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let count = PORTS.end - PORTS.start;
    // Tests that run beside these begin elsewhere.
    let first = std::process::id() % count * 1_009;
    loop {
        let nth = GIVEN.fetch_add(1, Ordering::Relaxed);
        assert!(nth < count, "all ports were given");
        let port = u16::try_from(PORTS.start + (first + nth) % count).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
