//! Amounts in JSON: whole coins with eight decimals outside, the smallest unit inside.
//!
//! `serde_json` carries a JSON number as a 64-bit float and prints the shortest text that reads back
//! the same, so 16 digits survive exactly. Nothing here calculates with it: the text is taken apart.

use serde_json::{Number, Value};

use crate::check::MAX_MONEY;

const DECIMALS: i64 = 8;
const UNIT: u64 = 100_000_000;
/// Longer texts are no amount; the longest honest one has 17 digits, a point and an exponent.
const MAX_TEXT: usize = 40;

/// An amount as JSON, in coins.
pub(crate) fn coins(amount: u64) -> Value {
    decimal(&format!("{}.{:08}", amount / UNIT, amount % UNIT))
}

/// An amount with a sign as JSON, in coins.
pub(crate) fn signed_coins(amount: i64) -> Value {
    let sign = if amount < 0 { "-" } else { "" };
    let amount = amount.unsigned_abs();
    decimal(&format!("{sign}{}.{:08}", amount / UNIT, amount % UNIT))
}

/// An amount in the smallest unit from a JSON number or string of coins. `None`: not a decimal
/// number, more than eight decimals, negative, or more than there can be.
pub(crate) fn from_json(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => from_text(&number.to_string(), DECIMALS),
        Value::String(text) => from_text(text, DECIMALS),
        _ => None,
    }
    .filter(|amount| *amount <= MAX_MONEY)
}

/// A fee rate in the smallest unit per 1000 virtual bytes, from one per virtual byte.
pub(crate) fn rate_from_json(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => from_text(&number.to_string(), 3),
        Value::String(text) => from_text(text, 3),
        _ => None,
    }
    .filter(|rate| *rate <= MAX_MONEY)
}

/// An amount in coins for people: at least two decimals, and no zeros behind (`FormatMoney`).
pub(crate) fn text(amount: u64) -> String {
    let text = format!("{}.{:08}", amount / UNIT, amount % UNIT);
    let keep = text.len() - 6;
    let (start, end) = text.split_at(keep);
    format!("{start}{}", end.trim_end_matches('0'))
}

fn decimal(text: &str) -> Value {
    let number = text.parse().ok().and_then(Number::from_f64);
    Value::Number(number.expect("digits with one point are a finite number"))
}

/// The decimal number `text` times ten to the power `decimals`, which must be whole.
fn from_text(text: &str, decimals: i64) -> Option<u64> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value: u128 = digits.parse().ok()?;
    let shift = exponent
        .checked_add(decimals)?
        .checked_sub(i64::try_from(fraction.len()).ok()?)?;
    if value == 0 {
        return Some(0);
    }
    let power = 10_u128.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?)?;
    let value = if shift >= 0 {
        value.checked_mul(power)?
    } else if value.is_multiple_of(power) {
        value / power
    } else {
        return None;
    };
    u64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_survive_json_to_the_last_unit() {
        for amount in [
            0,
            1,
            10,
            99_999_999,
            100_000_000,
            2_099_999_999_999_999,
            MAX_MONEY,
        ] {
            assert_eq!(from_json(&coins(amount)), Some(amount));
        }
        assert_eq!(coins(5_000_000_000).to_string(), "50.0");
        assert_eq!(signed_coins(-150_000_000).to_string(), "-1.5");
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        #[track_caller]
        fn case(value: Value, expected: Option<u64>) {
            assert_eq!(from_json(&value), expected, "{value}");
        }
        case(json!("0.1"), Some(10_000_000));
        case(json!("1e-8"), Some(1));
        case(json!(1e-9), None);
        case(json!(-1), None);
        case(json!("21000000.00000001"), None);
        case(json!("1.0.0"), None);
        case(json!(""), None);
        case(json!("."), None);
        case(json!("1e999999999999999999"), None);
        case(json!("0e999999999"), Some(0));
        case(json!(null), None);
        assert_eq!(rate_from_json(&json!(1.5)), Some(1500));
    }
}
