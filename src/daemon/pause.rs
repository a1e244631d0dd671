//! A pause that doubles with each time it is needed in a row.

use std::time::Duration;

/// Between attempts at the same thing.
#[derive(Clone, Debug)]
pub(super) struct Pause {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Pause {
    /// Starts with `first` and never exceeds `longest`.
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// How long to pause now; the next one is twice as long.
    pub(super) fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.longest);
        now
    }

    /// It went well: starts anew.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_anew() {
        let mut pause = Pause::new(Duration::from_secs(1), Duration::from_secs(5));
        let mut seconds = || pause.next().as_secs();
        assert_eq!([seconds(), seconds(), seconds(), seconds()], [1, 2, 4, 5]);
        pause.reset();
        assert_eq!(pause.next().as_secs(), 1);
    }
}
