//! JSON in which no field of an object stands twice: of such a file two who read it could read different
//! things. Called by `verify` for each file that is not a log; the lines of a log are read field by field,
//! and have the same rule.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// A value, and that each field in it stands there once.
struct Plain(Value);

/// Reads one. The error says where and why.
pub(super) fn read(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice::<Plain>(bytes).map(|plain| plain.0)
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number without end"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Plain(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Plain(value))) = entries.next_entry::<String, Plain>()? {
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format_args!(
                    "{name:?} stands there twice"
                )));
            }
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_stands_twice_is_refused_wherever_it_is() {
        let text = r#" {"a": [1, -2, 1.5, {"b": null}], "c": {"a": true, "b": "\u0041"}} "#;
        let value = json!({"a": [1, -2, 1.5, {"b": null}], "c": {"a": true, "b": "A"}});
        assert_eq!(read(text.as_bytes()).unwrap(), value);
        for wrong in [
            r#"{"a": 1, "a": 1}"#,
            r#"[{"a": 1, "\u0061": 2}]"#,
            r#"{"a": {"b": 1, "c": 2, "b": 3}}"#,
        ] {
            let error = read(wrong.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("stands there twice"), "{error}");
        }
        for wrong in [
            "",
            "{",
            "{} {}",
            "[1,]",
            "nul",
            "\"\u{1}\"",
            &"[".repeat(1_000),
        ] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
