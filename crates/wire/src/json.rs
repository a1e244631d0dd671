//! JSON values as text: read when a field asks for them, by the type the field has.
//!
//! Serde has checked the text before it comes here, so a reader looks at the first byte and knows.
//! Nothing recurses: a value that no field asks for is never entered, however deep it is. Called by
//! all readers of this module; `None` means another type than the field has.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One value, without space around it. What is missing reads as `null`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    pub(crate) const NULL: Json<'static> = Json("null");

    pub(crate) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// A field of an object.
    pub(crate) fn field(value: Option<&'a RawValue>) -> Self {
        value.map_or(Self::NULL, |value| Self(value.get()))
    }

    pub(crate) fn text(self) -> &'a str {
        self.0
    }

    pub(crate) fn is_null(self) -> bool {
        self.0 == "null"
    }

    pub(crate) fn boolean(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A number without sign, fraction or exponent.
    pub(crate) fn integer(self) -> Option<u64> {
        let digits = self.0.bytes().all(|byte| byte.is_ascii_digit());
        if digits { self.0.parse().ok() } else { None }
    }

    /// A string of at most `limit` bytes; borrowed unless it has escapes.
    pub(crate) fn string(self, limit: usize) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        let string = if inner.contains('\\') {
            Cow::Owned(serde_json::from_str(self.0).ok()?)
        } else {
            Cow::Borrowed(inner)
        };
        (string.len() <= limit).then_some(string)
    }

    /// What `read` makes of the value, or nothing if it is `null`.
    pub(crate) fn optional<T>(self, read: impl FnOnce(Self) -> Option<T>) -> Option<Option<T>> {
        if self.is_null() {
            Some(None)
        } else {
            read(self).map(Some)
        }
    }

    /// The first elements of an array; those past [`KEPT`] are dropped.
    pub(crate) fn elements(self) -> Option<Elements<'a>> {
        if self.0.starts_with('[') {
            serde_json::from_str(self.0).ok()
        } else {
            None
        }
    }

    /// Each element of an array in turn; `None` as soon as `each` refuses one.
    pub(crate) fn for_each(self, mut each: impl FnMut(Json<'a>) -> Option<()>) -> Option<()> {
        let values: Vec<&RawValue> = if self.0.starts_with('[') {
            serde_json::from_str(self.0).ok()?
        } else {
            return None;
        };
        values
            .into_iter()
            .try_for_each(|value| each(Json(value.get())))
    }

    /// An object read into a struct of fields.
    pub(crate) fn object<T: Deserialize<'a>>(self) -> Option<T> {
        // A derived struct would take an array, too.
        if self.0.starts_with('{') {
            serde_json::from_str(self.0).ok()
        } else {
            None
        }
    }
}

/// `mining.notify` has nine, and nothing has more.
const KEPT: usize = 9;

/// The elements of an array by position.
#[derive(Debug)]
pub(crate) struct Elements<'a> {
    kept: [Json<'a>; KEPT],
    len: usize,
}

impl<'a> Elements<'a> {
    /// `null` past the end.
    pub(crate) fn at(&self, position: usize) -> Json<'a> {
        self.kept.get(position).copied().unwrap_or(Json::NULL)
    }

    /// How many there are, the dropped ones included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;

        impl<'de> Visitor<'de> for Array {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
                let mut elements = Elements {
                    kept: [Json::NULL; KEPT],
                    len: 0,
                };
                while let Some(value) = array.next_element::<&'de RawValue>()? {
                    if let Some(kept) = elements.kept.get_mut(elements.len) {
                        *kept = Json(value.get());
                    }
                    elements.len += 1;
                }
                Ok(elements)
            }
        }

        deserializer.deserialize_seq(Array)
    }
}

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 | 0x7f => {
                out.extend_from_slice(b"\\u00");
                crate::hex::push(out, &[byte]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends a number in decimal digits.
pub(crate) fn push_integer(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789"[usize::from((value % 10).to_le_bytes()[0])];
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_reads_as_its_own_type_only() {
        let case = |text: &str, boolean, integer, string: Option<&str>| {
            let json = Json(text);
            assert_eq!(json.boolean(), boolean, "{text}");
            assert_eq!(json.integer(), integer, "{text}");
            assert_eq!(json.string(8).as_deref(), string, "{text}");
        };
        case("null", None, None, None);
        case("true", Some(true), None, None);
        case("0", None, Some(0), None);
        case("18446744073709551615", None, Some(u64::MAX), None);
        case("18446744073709551616", None, None, None);
        case("-1", None, None, None);
        case("1.0", None, None, None);
        case("1e3", None, None, None);
        case(r#""""#, None, None, Some(""));
        case(r#""1""#, None, None, Some("1"));
        case(r#""a\"b\u0000""#, None, None, Some("a\"b\0"));
        case(r#""\ud800""#, None, None, None);
        case(r#""123456789""#, None, None, None);
        case("[]", None, None, None);
        case("{}", None, None, None);
    }

    #[test]
    fn an_array_keeps_its_first_elements_and_counts_the_rest() {
        let text = format!("[1{}]", ", 2".repeat(100_000));
        let elements = Json(&text).elements().unwrap();
        assert_eq!(elements.len(), 100_001);
        assert_eq!(elements.at(0).text(), "1");
        assert_eq!(elements.at(8).text(), "2");
        assert!(elements.at(9).is_null());
        assert!(Json("{}").elements().is_none());
        assert!(Json("null").elements().is_none());
    }

    proptest! {
        #[test]
        fn strings_survive_the_round_trip(text: String) {
            let mut out = Vec::new();
            push_string(&mut out, &text);
            let out = String::from_utf8(out).unwrap();
            prop_assert_eq!(Json(&out).string(usize::MAX).unwrap(), text);
        }

        #[test]
        fn integers_survive_the_round_trip(value: u64) {
            let mut out = Vec::new();
            push_integer(&mut out, value);
            prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
