//! Lines out of a byte stream, with a limit that a peer cannot talk its way around.
//!
//! Whoever reads a socket pushes what it read and then takes lines until there is none. [`TooLong`]
//! comes as soon as a line has passed the limit, newline or not, and stays: the connection must be
//! closed, for what follows can no longer be told apart from the middle of a line. Between lines
//! the buffer owns no heap memory, so ten thousand quiet miners cost nothing here.

use memchr::memchr;

/// The line passed the limit; close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line longer than {limit} bytes")]
pub struct TooLong {
    pub limit: usize,
}

/// What was read and not yet taken.
#[derive(Debug)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Where the line that is being read starts.
    start: usize,
    /// How far it is known to hold no newline, so that a byte is searched once.
    searched: usize,
    limit: usize,
    too_long: Option<TooLong>,
}

impl LineBuffer {
    /// A line may have `limit` bytes, not counting its newline.
    pub fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            searched: 0,
            limit,
            too_long: None,
        }
    }

    /// Another limit from the next line on, as when a peer has proved who it is.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Appends what was read. Take all lines before pushing again, or the buffer grows.
    pub fn push(&mut self, read: &[u8]) {
        if self.too_long.is_none() {
            self.bytes.extend_from_slice(read);
        }
    }

    /// The next complete line without its `\n` or `\r\n`; empty ones are passed over.
    ///
    /// `None` means that more must be read.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, TooLong> {
        if let Some(too_long) = self.too_long {
            return Err(too_long);
        }
        loop {
            let newline = memchr(b'\n', &self.bytes[self.searched..]).map(|at| self.searched + at);
            let end = newline.unwrap_or(self.bytes.len());
            if end - self.start > self.limit {
                return Err(self.refuse());
            }
            if newline.is_none() {
                self.keep_rest();
                return Ok(None);
            }
            let start = self.start;
            self.start = end + 1;
            self.searched = end + 1;
            let line = start..end - usize::from(self.bytes[start..end].ends_with(b"\r"));
            if !line.is_empty() {
                return Ok(Some(&self.bytes[line]));
            }
        }
    }

    /// Takes what was pushed and is no whole line that was taken, as it came.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.bytes.split_off(self.start);
        *self = Self::new(self.limit);
        rest
    }

    /// Nothing is waiting: neither a line nor the beginning of one.
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Moves the beginning of a line into memory of its own size; none if there is no such beginning.
    ///
    /// A byte is moved at most once: it came after the last newline, and nothing moves again before
    /// the next one has been taken.
    fn keep_rest(&mut self) {
        if self.start > 0 {
            self.bytes = self.bytes[self.start..].to_vec();
            self.start = 0;
        }
        self.searched = self.bytes.len();
    }

    fn refuse(&mut self) -> TooLong {
        let too_long = TooLong { limit: self.limit };
        *self = Self {
            too_long: Some(too_long),
            ..Self::new(self.limit)
        };
        too_long
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(limit: usize, reads: &[&[u8]]) -> (Vec<Vec<u8>>, Option<TooLong>) {
        let mut buffer = LineBuffer::new(limit);
        let mut lines = Vec::new();
        for read in reads {
            buffer.push(read);
            loop {
                match buffer.next_line() {
                    Ok(Some(line)) => lines.push(line.to_vec()),
                    Ok(None) => break,
                    Err(too_long) => return (lines, Some(too_long)),
                }
            }
        }
        (lines, None)
    }

    #[test]
    fn a_line_ends_at_its_newline_however_it_is_cut() {
        let case = |reads: &[&[u8]], expected: &[&[u8]]| {
            let expected = expected.iter().map(|line| line.to_vec()).collect();
            assert_eq!(lines(8, reads), (expected, None), "{reads:?}");
        };
        case(&[], &[]);
        case(&[b"a"], &[]);
        case(&[b"a\n"], &[b"a"]);
        case(&[b"a\r\nb\n"], &[b"a", b"b"]);
        case(&[b"a", b"b", b"\r", b"\n", b"c"], &[b"ab"]);
        case(&[b"a\nb", b"c\nd"], &[b"a", b"bc"]);
        case(&[b"\n\r\n\n", b"a\n\n"], &[b"a"]);
        case(&[b"a\rb\n"], &[b"a\rb"]);
        case(&[b"12345678\n", b"1234567\r\n"], &[b"12345678", b"1234567"]);
    }

    #[test]
    fn a_line_past_the_limit_closes_even_without_its_newline() {
        let case = |reads: &[&[u8]], before: usize| {
            let (lines, end) = lines(4, reads);
            assert_eq!(
                (lines.len(), end),
                (before, Some(TooLong { limit: 4 })),
                "{reads:?}"
            );
        };
        case(&[b"12345"], 0);
        case(&[b"1234", b"5"], 0);
        case(&[b"12345\n"], 0);
        case(&[b"1234\r\n"], 0);
        case(&[b"1\n2\n34567\n8\n"], 2);
    }

    #[test]
    fn after_a_line_that_is_too_long_nothing_is_read_or_kept() {
        let mut buffer = LineBuffer::new(4);
        buffer.push(b"12345");
        assert!(buffer.next_line().is_err());
        buffer.push(b"\n1\n");
        assert!(buffer.next_line().is_err());
        assert_eq!(buffer.bytes.capacity(), 0);
    }

    #[test]
    fn a_raised_limit_holds_from_the_next_line_on() {
        let mut buffer = LineBuffer::new(2);
        buffer.push(b"ab\n");
        assert_eq!(buffer.next_line(), Ok(Some(&b"ab"[..])));
        buffer.set_limit(4);
        buffer.push(b"abcd\n");
        assert_eq!(buffer.next_line(), Ok(Some(&b"abcd"[..])));
    }

    #[test]
    fn between_lines_no_memory_is_held() {
        let mut buffer = LineBuffer::new(4096);
        buffer.push(&[b'x'; 4000]);
        buffer.push(b"\nrest");
        while buffer.next_line() != Ok(None) {}
        assert_eq!(buffer.bytes.capacity(), 4);
        assert!(!buffer.is_empty());
        buffer.push(b"\n");
        while buffer.next_line() != Ok(None) {}
        assert_eq!(buffer.bytes.capacity(), 0);
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_megabyte_in_single_bytes_is_searched_once() {
        let mut buffer = LineBuffer::new(1 << 20);
        let started = std::time::Instant::now();
        for _ in 0..1 << 20 {
            buffer.push(b"x");
            assert_eq!(buffer.next_line(), Ok(None));
        }
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), b'a'..=b'c'], 0..200),
            cuts in proptest::collection::vec(1..20_usize, 1..50),
            limit in 1..40_usize,
        ) {
            let mut reads = Vec::new();
            let mut rest = &text[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (read, after) = rest.split_at((*cut).min(rest.len()));
                reads.push(read);
                rest = after;
            }
            prop_assert_eq!(lines(limit, &reads), lines(limit, &[&text]));
        }
    }
}
