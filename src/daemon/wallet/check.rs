//! What a wallet answers, read to the last unit: amounts in JSON, and transactions that must be the
//! ones that were asked for.

use std::collections::HashMap;

use bitcoin::{Transaction, consensus};
use mining::{Address, Amount};

use super::SignError;

pub(super) fn read(text: &str) -> Option<(Vec<u8>, Transaction)> {
    let raw = hex::decode(text).ok()?;
    let transaction = consensus::deserialize(&raw).ok()?;
    Some((raw, transaction))
}

/// Whether a transaction pays these, each once and in full, and at most one output beside them: the
/// change.
pub(crate) fn check(
    transaction: &Transaction,
    payments: &[(Address, Amount)],
) -> Result<(), SignError> {
    let mut outputs: HashMap<(&[u8], u64), u32> = HashMap::new();
    for output in &transaction.output {
        let key = (output.script_pubkey.as_bytes(), output.value.to_sat());
        *outputs.entry(key).or_default() += 1;
    }
    for (address, amount) in payments {
        let script = address.script().unwrap_or_default();
        let left = outputs.get_mut(&(script, amount.units()));
        match left {
            Some(left) if *left > 0 => *left -= 1,
            _ => return Err(SignError::Wrong("a payment that is not there")),
        }
    }
    match outputs.values().sum::<u32>() {
        0 | 1 => Ok(()),
        _ => Err(SignError::Wrong("payments that nobody asked for")),
    }
}

/// An amount as JSON has it, which may write a small one with an exponent: `1.555e-5`. Exact; nothing
/// if it is no whole number of units.
pub(in crate::daemon) fn coins_of_json(number: &str, decimals: u8) -> Option<Amount> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.to_owned() + fraction;
    if digits.len() > 30 || exponent.len() > 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits: u128 = digits.parse().ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    let behind = i32::try_from(fraction.len()).ok()?;
    // So many places the digits move to the left to be units.
    let shift = i32::from(decimals) + exponent - behind;
    let power = 10_u128.checked_pow(shift.unsigned_abs())?;
    let units = match shift >= 0 {
        true => digits.checked_mul(power)?,
        false if digits.is_multiple_of(power) => digits / power,
        false => return None,
    };
    u64::try_from(units).ok().map(Amount::from_units)
}

#[cfg(test)]
mod tests {
    use bitcoin::{ScriptBuf, TxOut, absolute::LockTime, transaction::Version};
    use mining::{Coin, Network};

    use super::*;

    #[test]
    fn amounts_of_json_are_exact() {
        #[track_caller]
        fn case(number: &str, units: Option<u64>) {
            assert_eq!(
                coins_of_json(number, 8).map(Amount::units),
                units,
                "{number}"
            );
        }
        case("0", Some(0));
        case("0.00001555", Some(1555));
        case("1.555e-5", Some(1555));
        case("1.555E-05", Some(1555));
        case("1e-8", Some(1));
        case("2.5e1", Some(2_500_000_000));
        case("12", Some(1_200_000_000));
        case("12.500000000", Some(1_250_000_000));
        case("184467440737.09551615", Some(u64::MAX));
        for none in [
            "1e-9",
            "0.000000001",
            "-1",
            "+1",
            "",
            ".",
            "e5",
            "1e",
            "1e+",
            "nan",
            "1e99999",
            "1e99",
            "184467440737.09551616",
            "0x1",
            "1 ",
            "null",
        ] {
            case(none, None);
        }
    }

    fn paying(outputs: &[(&[u8], u64)]) -> Transaction {
        let output = |(script, units): &(&[u8], u64)| TxOut {
            value: bitcoin::Amount::from_sat(*units),
            script_pubkey: ScriptBuf::from_bytes(script.to_vec()),
        };
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: Vec::new(),
            output: outputs.iter().map(output).collect(),
        }
    }

    #[test]
    fn a_wallet_that_pays_something_else_is_found_out() {
        let coin: &Coin = "bitcoin".parse().unwrap();
        let address = |text| Address::parse(coin, Network::Main, text).unwrap();
        let one = address("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4");
        let two = address("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa");
        let payments = [
            (one.clone(), Amount::from_units(500)),
            (two.clone(), Amount::from_units(700)),
        ];
        let (a, b, change) = (one.script().unwrap(), two.script().unwrap(), &[0x51][..]);
        assert_eq!(check(&paying(&[(b, 700), (a, 500)]), &payments), Ok(()));
        assert_eq!(
            check(&paying(&[(b, 700), (change, 9), (a, 500)]), &payments),
            Ok(())
        );
        for wrong in [
            &[(a, 500)][..],
            &[(a, 500), (b, 699)],
            &[(a, 700), (b, 500)],
            &[(a, 501), (b, 700)],
            &[(a, 500), (b, 700), (change, 1), (change, 2)],
            &[],
        ] {
            assert!(check(&paying(wrong), &payments).is_err(), "{wrong:?}");
        }
    }
}
