//! What every line has in common: an object with some of id, method, params, result and error.
//!
//! Read by both ends before they look at the method. Other keys are passed over; one of these five
//! given twice is refused, for the two ends of a proxy might each believe another one.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::json::Json;

#[derive(Debug, Deserialize)]
pub(crate) struct Envelope<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// `None`: the line is not one JSON object, or has one of these keys twice.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        Json::new(line.trim_start_matches([' ', '\t', '\r', '\n'])).object()
    }

    pub(crate) fn id(&self) -> Json<'a> {
        Json::field(self.id)
    }

    pub(crate) fn method(&self) -> Json<'a> {
        Json::field(self.method)
    }

    pub(crate) fn params(&self) -> Json<'a> {
        Json::field(self.params)
    }

    pub(crate) fn result(&self) -> Json<'a> {
        Json::field(self.result)
    }

    pub(crate) fn error(&self) -> Json<'a> {
        Json::field(self.error)
    }

    /// No method, but a result or an error, were it `null`.
    pub(crate) fn is_response(&self) -> bool {
        self.method.is_none() && (self.result.is_some() || self.error.is_some())
    }
}

/// Tells `null` from a missing key.
pub(crate) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_object_with_each_key_once_is_a_line() {
        let case = |line: &str, expected| {
            assert_eq!(Envelope::parse(line).is_some(), expected, "{line}");
        };
        case("{}", true);
        case(" {\"id\" : 1 , \"x\":[{}] } ", true);
        case(r#"{"\u0069d":1,"jsonrpc":"2.0"}"#, true);
        case("", false);
        case("null", false);
        case("[]", false);
        case(r#"[1,"mining.ping",[]]"#, false);
        case("{} {}", false);
        case("{'id':1}", false);
        case("{\"id\":NaN}", false);
        case("\u{feff}{}", false);
        case(
            r#"{"method":"mining.submit","method":"mining.authorize"}"#,
            false,
        );
        case(r#"{"id":1,"\u0069d":1}"#, false);
        case(r#"{"result":null,"result":true}"#, false);
    }

    #[test]
    fn depth_is_not_followed() {
        for depth in [127, 128, 100_000] {
            let line = format!(
                r#"{{"x":{}1{},"id":1}}"#,
                "[".repeat(depth),
                "]".repeat(depth)
            );
            assert_eq!(Envelope::parse(&line).unwrap().id().text(), "1");
            let line = format!(
                r#"{{"params":{}1{}}}"#,
                "[".repeat(depth),
                "]".repeat(depth)
            );
            let params = Envelope::parse(&line).unwrap().params();
            assert_eq!(params.elements().unwrap().len(), 1);
        }
    }

    #[test]
    fn a_null_result_is_a_response() {
        let case = |line: &str, expected| {
            assert_eq!(
                Envelope::parse(line).unwrap().is_response(),
                expected,
                "{line}"
            );
        };
        case(r#"{"id":1,"result":null}"#, true);
        case(r#"{"id":1,"method":null,"error":[20,"no",null]}"#, true);
        case(r#"{"id":1,"method":"mining.ping","result":null}"#, false);
        case(r#"{"id":1}"#, false);
    }
}
