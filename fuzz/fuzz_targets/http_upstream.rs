//! Whatever a pool of HTTP answers, a worker has a token, a job or a verdict, or a failure that is told in few words.
//!
//! The first byte is the status; the rest is the body.

#![no_main]

use adit::worker::{read_job, read_registration, read_share};
use libfuzzer_sys::fuzz_target;

/// What is told of a failure, whatever the pool says.
const TEXT_MAX: usize = 4_000;
/// The longest name of a job.
const ID_LEN_MAX: usize = 128;

/// A failure, which people read on a terminal.
fn few_words(failure: &str) {
    assert!(
        failure.len() <= TEXT_MAX,
        "{} bytes: {failure}",
        failure.len()
    );
    assert!(!failure.chars().any(char::is_control), "{failure:?}");
}

fuzz_target!(|input: &[u8]| {
    let Some((status, body)) = input.split_first() else {
        return;
    };
    let status = match status % 16 {
        1 => 400,
        2 => 401,
        3 => 403,
        4 => 429,
        5 => 503,
        6 => 302,
        7 => 500,
        _ => 200,
    };
    match read_registration(status, body) {
        Ok(None) => {}
        Ok(Some(token)) => {
            assert!(token.is_sensitive() && token.as_bytes().starts_with(b"Bearer "));
            assert!(!token.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)));
        }
        Err(failure) => few_words(&failure),
    }
    match read_job(status, body) {
        Ok(job) => {
            assert!((1..=ID_LEN_MAX).contains(&job.id.len()));
            assert!(
                job.difficulty.is_finite() && job.difficulty > 0.0,
                "{}",
                job.difficulty
            );
        }
        Err(failure) => few_words(&failure),
    }
    match read_share(status, body) {
        Ok(_) => assert_eq!(status, 200),
        Err(failure) => few_words(&failure),
    }
});
