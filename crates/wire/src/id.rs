//! The id of a request, echoed exactly as it came.
//!
//! Firmware sends numbers, strings (`"xnsub"`), `null`, or none at all, which is answered like
//! `null`. An id is never interpreted; [`OwnedId`] keeps it while the answer waits for a commit.

use std::fmt;

use crate::json::Json;

/// The longest id that is echoed, quotes included.
pub const MAX_ID: usize = 64;

/// A number, a string or `null`, as JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id<'a>(&'a str);

impl<'a> Id<'a> {
    pub const NULL: Id<'static> = Id("null");

    pub(crate) fn new(json: Json<'a>) -> Option<Self> {
        let text = json.text();
        let scalar = matches!(text.as_bytes(), [b'0'..=b'9' | b'-' | b'"', ..]) || json.is_null();
        (scalar && text.len() <= MAX_ID).then_some(Self(text))
    }

    /// The JSON text.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    pub fn to_owned(self) -> OwnedId {
        let text = self.0.as_bytes();
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(start), Ok(len)) => {
                start.copy_from_slice(text);
                OwnedId(Text::Inline { len, bytes })
            }
            _ => OwnedId(Text::Heap(self.0.into())),
        }
    }
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// An [`Id`] that outlives its line; without an allocation for the ids that miners use.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedId(Text);

const INLINE: usize = 22;

#[derive(Clone, PartialEq, Eq)]
enum Text {
    Inline { len: u8, bytes: [u8; INLINE] },
    Heap(Box<str>),
}

impl OwnedId {
    pub fn as_id(&self) -> Id<'_> {
        match &self.0 {
            Text::Inline { len, bytes } => {
                let text = std::str::from_utf8(&bytes[..usize::from(*len)]);
                Id(text.expect("these bytes were copied from a str"))
            }
            Text::Heap(text) => Id(text),
        }
    }
}

impl fmt::Debug for OwnedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnedId").field(&self.as_id().0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_strings_and_null_are_ids() {
        let case = |text: &str, expected| {
            let id = Id::new(Json::new(text));
            assert_eq!(id.is_some(), expected, "{text}");
            if let Some(id) = id {
                assert_eq!((id.as_str(), id.to_owned().as_id()), (text, id));
            }
        };
        case("1", true);
        case("-1.5e3", true);
        case("null", true);
        case(r#""xnsub""#, true);
        case(r#""twenty-two characters and more""#, true);
        case("true", false);
        case("[]", false);
        case("{}", false);
        case(&format!("\"{}\"", "x".repeat(MAX_ID - 2)), true);
        case(&format!("\"{}\"", "x".repeat(MAX_ID - 1)), false);
    }
}
