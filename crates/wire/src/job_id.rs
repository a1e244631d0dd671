//! The id of a job: a number to us, lower-case hexadecimal without padding on the wire.
//!
//! Each job has one spelling only, so an id that merely resembles ours is no job of ours.

use crate::hex;

/// A number that no other job of the connection has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u32);

impl JobId {
    /// `None`: no job of ours is called that.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = text == "0" || !text.starts_with('0');
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        if canonical && lower {
            hex::u32(text).map(Self)
        } else {
            None
        }
    }

    pub(crate) fn push(self, out: &mut Vec<u8>) {
        hex::push_u32_short(out, self.0);
    }
}

impl std::fmt::Display for JobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_our_own_spelling_names_a_job() {
        let case = |text: &str, expected: Option<u32>| {
            assert_eq!(JobId::parse(text), expected.map(JobId), "{text}");
        };
        case("0", Some(0));
        case("1f", Some(0x1f));
        case("ffffffff", Some(u32::MAX));
        case("", None);
        case("00", None);
        case("01f", None);
        case("1F", None);
        case("100000000", None);
        case("-1", None);
        case("+1", None);
        case("../../x", None);
        case(&"1".repeat(10_000), None);
    }

    proptest! {
        #[test]
        fn a_job_id_survives_the_round_trip(id: u32) {
            let mut out = Vec::new();
            JobId(id).push(&mut out);
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(&text, &JobId(id).to_string());
            prop_assert_eq!(JobId::parse(&text), Some(JobId(id)));
        }
    }
}
