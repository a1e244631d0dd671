//! However a stream is cut, the lines are the same, and none passes the limit.
//!
//! The first byte is the limit, the second the size of a read; the rest is the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::LineBuffer;

fuzz_target!(|input: &[u8]| {
    let [limit, size, stream @ ..] = input else {
        return;
    };
    let limit = usize::from(*limit);
    let cut = lines(limit, stream.chunks(usize::from(*size).max(1)));
    let whole = lines(limit, std::iter::once(stream));
    assert_eq!(cut, whole);
    assert!(
        whole
            .0
            .iter()
            .all(|line| !line.is_empty() && line.len() <= limit)
    );
});

/// The lines, and whether one was too long.
fn lines<'a>(limit: usize, reads: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
    let mut buffer = LineBuffer::new(limit);
    let mut lines = Vec::new();
    for read in reads {
        buffer.push(read);
        loop {
            match buffer.next_line() {
                Ok(Some(line)) => lines.push(line.to_vec()),
                Ok(None) => break,
                Err(_) => return (lines, true),
            }
        }
    }
    (lines, false)
}
