//! When a message that did not get through is sent again, and when that is given up.

/// The wait after the first failure, in milliseconds; it doubles with each.
const FIRST_MS: i64 = 10_000;
/// The longest wait.
const LONGEST_MS: i64 = 60 * 60 * 1000;
/// After so many attempts, some two hours, it is given up: nobody wants to be told of yesterday.
pub const ATTEMPTS_MAX: u32 = 10;
/// Older messages are not sent any more.
pub const AGE_MAX_MS: i64 = 24 * 60 * 60 * 1000;

/// The time of the next attempt after so many that failed; nothing if it is given up. `chance` is any
/// random number: it moves the wait by up to a quarter, so that what failed together does not come back
/// together.
pub fn next_ms(attempts: u32, made_ms: i64, now_ms: i64, chance: u32) -> Option<i64> {
    if attempts >= ATTEMPTS_MAX || now_ms.saturating_sub(made_ms) >= AGE_MAX_MS {
        return None;
    }
    let doublings = attempts.saturating_sub(1).min(20);
    let wait_ms = (FIRST_MS << doublings).min(LONGEST_MS);
    let more_ms = i64::from(chance) % (wait_ms / 4);
    Some(now_ms.saturating_add(wait_ms + more_ms))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_and_end() {
        let wait = |attempts| next_ms(attempts, 0, 0, 0);
        assert_eq!(wait(1), Some(10_000));
        assert_eq!(wait(2), Some(20_000));
        assert_eq!(wait(9), Some(2_560_000));
        assert_eq!(wait(10), None);
        assert_eq!(next_ms(1, 0, AGE_MAX_MS, 0), None);
        assert!(next_ms(1, 0, AGE_MAX_MS - 1, 0).is_some());
    }

    proptest! {
        #[test]
        fn a_wait_is_never_too_short_or_too_long(
            attempts in 0..ATTEMPTS_MAX, chance: u32, now in 0..1_i64 << 50,
        ) {
            let next = next_ms(attempts, now, now, chance).unwrap();
            prop_assert!((FIRST_MS..=LONGEST_MS * 5 / 4).contains(&(next - now)));
        }
    }
}
