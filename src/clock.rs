//! The time of day, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(test)]
thread_local! {
    /// How far the clock of this thread is ahead, in a test that does not wait.
    static AHEAD_MS: std::cell::Cell<i64> = const { std::cell::Cell::new(0) };
}

/// Milliseconds since 1970; zero before that.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    #[cfg(test)]
    let now = now + AHEAD_MS.get();
    now
}

/// So much time passes for whatever runs on this thread.
#[cfg(test)]
pub(crate) fn pass_ms(ms: i64) {
    AHEAD_MS.set(AHEAD_MS.get() + ms);
}

/// Seconds since 1970 as headers have them.
pub(crate) fn now_s() -> u32 {
    u32::try_from(now_ms() / 1000).unwrap_or(u32::MAX)
}
