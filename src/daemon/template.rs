//! From a daemon's `getblocktemplate` to a [`Template`].
//!
//! Called by [`bitcoind`](super::bitcoind) on a thread where time does not matter. Nothing is
//! decoded that need not be: a transaction stays the text it came as. What does not fit is refused
//! with a reason and never bent.

use std::{num::NonZeroU64, sync::Arc};

use mining::{
    Amount, AnyTemplate, Coin, Network, Target, Template,
    target::NotATarget,
    template::{Room, TemplateKind, Transactions},
};

use pow::Hash;

use super::{
    reply::{BlockTemplate, TemplateTransaction},
    vision_template::vision_template,
};

/// Why a template cannot be mined. Another one may be better; until then this daemon is unfit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// A number that no block can have.
    #[error("{field} of the template is out of range")]
    OutOfRange {
        /// Its key.
        field: &'static str,
    },
    /// `bits` or `target`.
    #[error("template: {0}")]
    Target(#[from] NotATarget),
    /// A text that should be hexadecimal.
    #[error("{field} of the template is not hexadecimal")]
    NotHex {
        /// Its key.
        field: &'static str,
    },
    /// A transaction without what is needed of it.
    #[error("transaction {index} of the template has {what}")]
    Transaction {
        /// Which, from 0.
        index: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The fees are more than the whole reward.
    #[error("the template's fees are more than its coinbasevalue")]
    Fees,
    /// A rule that must be understood and is not.
    #[error("the template needs the rule {0:?}, which is not known")]
    Rule(String),
    /// One of Monero's family that does not add up.
    #[error(transparent)]
    CryptoNote(#[from] mining::cryptonote::whole_template::Refused),
    /// It does not say how it is hashed.
    #[error("the template does not say {0} of VisionX")]
    NoVisionX(&'static str),
    /// Headers of another kind.
    #[error("the template is for headers of version {0}, which is not known")]
    HeaderVersion(u32),
    /// Its target is not the one of its difficulty.
    #[error("the template's target is not that of its difficulty {0}")]
    NotItsTarget(NonZeroU64),
    /// Blocks need a signature.
    #[error("blocks of this signet must be signed")]
    SignedBlocks,
}

/// The most that a template may be worth: amounts are kept in 63 bits.
const VALUE_LIMIT: u64 = i64::MAX.unsigned_abs();

/// A witness commitment has 38 bytes; later rules may add to it.
const COMMITMENT_LIMIT: usize = 256;

/// The coinbase's script has 100 bytes, and height and extranonce must fit too.
const FLAGS_LIMIT: usize = 32;

/// The challenge that anything satisfies.
const OP_TRUE: &str = "51";

/// The rules to tell the daemon that we understand.
pub(super) fn rules(coin: &Coin, network: Network) -> Vec<&'static str> {
    let mut rules = coin.template_rules().to_vec();
    if network == Network::Signet {
        rules.push("signet");
    }
    rules
}

/// Makes the template of a coin whose daemon speaks as Bitcoin's does.
pub(super) fn any_template(
    reply: &BlockTemplate<'_>,
    coin: &Coin,
    network: Network,
) -> Result<AnyTemplate, Refused> {
    Ok(match coin.vision() {
        None => AnyTemplate::Bitcoin(Arc::new(template(reply, coin, network)?)),
        Some(_) => AnyTemplate::Vision(Arc::new(vision_template(reply, coin, network)?)),
    })
}

/// Makes the template of Bitcoin's family.
pub(super) fn template(
    reply: &BlockTemplate<'_>,
    coin: &Coin,
    network: Network,
) -> Result<Template, Refused> {
    let bits = compact(&reply.bits)?;
    let target = Target::from_compact(bits)?.min(Target::from_hex(&reply.target)?);
    let (template, _) = body(reply, coin, network, bits, target)?;
    Ok(template)
}

/// What all templates have that a daemon of Bitcoin's kind gives, and the ids of the transactions.
pub(super) fn body(
    reply: &BlockTemplate<'_>,
    coin: &Coin,
    network: Network,
    bits: u32,
    target: Target,
) -> Result<(Template, Vec<Hash>), Refused> {
    let known = rules(coin, network);
    if let Some(rule) = reply
        .rules
        .iter()
        .filter_map(|rule| rule.strip_prefix('!'))
        .find(|rule| !known.contains(rule))
    {
        return Err(Refused::Rule(super::rpc::cut(rule)));
    }
    if reply
        .signet_challenge
        .as_deref()
        .is_some_and(|challenge| challenge != OP_TRUE)
    {
        return Err(Refused::SignedBlocks);
    }
    let version =
        i32::try_from(reply.version).map_err(|_| Refused::OutOfRange { field: "version" })?;
    // Heights are pushed as signed numbers of up to four bytes.
    if reply.height == 0 || i32::try_from(reply.height).is_err() {
        return Err(Refused::OutOfRange { field: "height" });
    }
    if reply.value > VALUE_LIMIT {
        return Err(Refused::OutOfRange {
            field: "coinbasevalue",
        });
    }
    let value = Amount::from_units(reply.value);
    let fees = fees(&reply.transactions)?;
    if fees > value {
        return Err(Refused::Fees);
    }
    let witness_commitment = match &reply.default_witness_commitment {
        Some(script) if coin.has_segwit() => Some(bytes(
            script,
            "default_witness_commitment",
            COMMITMENT_LIMIT,
        )?),
        _ => None,
    };
    let coinbase_flags = match reply.coinbaseaux.get("flags") {
        Some(flags) => bytes(flags, "coinbaseaux.flags", FLAGS_LIMIT)?,
        None => Vec::new(),
    };
    let tail = match reply.mweb {
        None => String::new(),
        Some(block) if is_hex(block) => format!("01{block}"),
        Some(_) => return Err(Refused::NotHex { field: "mweb" }),
    };
    let (transactions, txids) = transactions(&reply.transactions, coin)?;
    let template = Template {
        height: reply.height,
        version: version.cast_unsigned(),
        previous: reply.previous,
        bits,
        target,
        time: reply.time.max(reply.min_time),
        min_time: reply.min_time,
        value,
        fees,
        witness_commitment,
        coinbase_flags,
        transactions,
        tail,
        room: room(reply),
        kind: TemplateKind::Full,
    };
    Ok((template, txids))
}

/// What the limits leave beside the transactions. A daemon without segwit tells sizes in place of
/// weights; one that tells no cost of signature operations leaves all of them.
fn room(reply: &BlockTemplate<'_>) -> Room {
    let bytes = |transaction: &TemplateTransaction<'_>| {
        u64::try_from(transaction.data.len() / 2).unwrap_or(u64::MAX)
    };
    let (mut weight, mut sigops) = (0u64, 0u64);
    for transaction in &reply.transactions {
        let own = transaction
            .weight
            .unwrap_or_else(|| bytes(transaction).saturating_mul(4));
        weight = weight.saturating_add(own);
        sigops = sigops.saturating_add(transaction.sigops.unwrap_or(0));
    }
    let by_size = reply.size_limit.map(|bytes| bytes.saturating_mul(4));
    let weight_limit = reply
        .weight_limit
        .or(by_size)
        .unwrap_or(Room::EMPTY_BLOCK.weight);
    let sigops_limit = reply.sigops_limit.unwrap_or(Room::EMPTY_BLOCK.sigops);
    Room::beside(weight, sigops, weight_limit, sigops_limit)
}

/// The `bits` of a template or a header: eight digits.
pub(super) fn compact(bits: &str) -> Result<u32, Refused> {
    wire::hex::u32_padded(bits).ok_or(Refused::NotHex { field: "bits" })
}

fn fees(transactions: &[TemplateTransaction<'_>]) -> Result<Amount, Refused> {
    let mut sum = Amount::ZERO;
    for (index, transaction) in transactions.iter().enumerate() {
        let refused = |what| Refused::Transaction { index, what };
        // BIP 22: a fee that is not told is not zero.
        let fee = transaction.fee.ok_or_else(|| refused("no fee"))?;
        let fee = u64::try_from(fee).map_err(|_| refused("a negative fee"))?;
        sum = sum
            .checked_add(Amount::from_units(fee))
            .ok_or_else(|| refused("a fee beyond all money"))?;
    }
    Ok(sum)
}

fn transactions(
    transactions: &[TemplateTransaction<'_>],
    coin: &Coin,
) -> Result<(Transactions, Vec<Hash>), Refused> {
    let mut hex = String::with_capacity(transactions.iter().map(|t| t.data.len()).sum());
    let mut txids = Vec::with_capacity(transactions.len());
    for (index, transaction) in transactions.iter().enumerate() {
        let refused = |what| Refused::Transaction { index, what };
        if !is_hex(transaction.data) {
            return Err(refused("data that is not hexadecimal"));
        }
        hex.push_str(transaction.data);
        // Without segwit both are the same, and old daemons tell only `hash`.
        let other = if coin.has_segwit() {
            None
        } else {
            transaction.hash
        };
        txids.push(
            transaction
                .txid
                .or(other)
                .ok_or_else(|| refused("no txid"))?,
        );
    }
    Ok((Transactions::new(hex, &txids), txids))
}

fn bytes(text: &str, field: &'static str, limit: usize) -> Result<Vec<u8>, Refused> {
    if text.len() > 2 * limit {
        return Err(Refused::OutOfRange { field });
    }
    hex::decode(text).map_err(|_| Refused::NotHex { field })
}

/// Whole bytes, and at least one. Without a branch for each letter, as a template has millions and
/// miners wait for it.
fn is_hex(text: &str) -> bool {
    let strange = |c: u8| {
        let (digit, letter) = (c.wrapping_sub(b'0'), (c | 0x20).wrapping_sub(b'a'));
        u8::from(digit > 9) & u8::from(letter > 5)
    };
    let none_strange = text.bytes().fold(0, |seen, c| seen | strange(c)) == 0;
    none_strange && !text.is_empty() && text.len().is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::daemon::rpc::parse;

    #[test]
    fn hexadecimal_is_what_the_alphabet_says() {
        for character in '\0'..='\u{ff}' {
            let text = format!("{character}0").repeat(3);
            let expected = character.is_ascii_hexdigit();
            assert_eq!(is_hex(&text), expected, "{character:?}");
        }
        assert!(!is_hex("") && !is_hex("000") && is_hex("aF09"));
    }

    fn coin(name: &str) -> &'static Coin {
        name.parse().unwrap()
    }

    fn made(reply: &Value, coin_name: &str) -> Result<Template, String> {
        made_on(reply, coin_name, Network::Main)
    }

    fn made_on(reply: &Value, name: &str, network: Network) -> Result<Template, String> {
        made_from(
            &json!({ "result": reply, "error": null }).to_string(),
            name,
            network,
        )
    }

    fn made_from(body: &str, name: &str, network: Network) -> Result<Template, String> {
        let reply = parse::<BlockTemplate<'_>>(body.as_bytes()).map_err(|f| f.to_string())?;
        template(&reply, coin(name), network).map_err(|f| f.to_string())
    }

    fn bitcoin() -> Value {
        json!({
            "version": 536_870_912, "rules": ["csv", "!segwit", "taproot"], "height": 900_001,
            "previousblockhash": Hash([1; 32]), "bits": "17023456", "curtime": 1_800_000_000,
            "target": format!("{:0>64}", "23456".to_owned() + &"0".repeat(40)),
            "mintime": 1_799_999_000, "coinbasevalue": 312_500_300,
            "transactions": [
                { "data": "0a0b", "txid": Hash([3; 32]), "hash": Hash([4; 32]), "fee": 100 },
                { "data": "0c", "txid": Hash([5; 32]), "hash": Hash([6; 32]), "fee": 200 },
            ],
            "default_witness_commitment": "6a24aa21a9ed", "coinbaseaux": {},
            "longpollid": "x", "mutable": ["time"], "noncerange": "00000000ffffffff",
        })
    }

    #[test]
    fn bitcoins_template_is_taken_over() {
        let template = made(&bitcoin(), "bitcoin").unwrap();
        assert_eq!((template.height, template.version), (900_001, 0x2000_0000));
        assert_eq!(
            (template.bits, template.previous),
            (0x1702_3456, Hash([1; 32]))
        );
        assert_eq!(
            (template.value.units(), template.fees.units()),
            (312_500_300, 300)
        );
        assert_eq!(
            template.witness_commitment,
            Some(hex::decode("6a24aa21a9ed").unwrap())
        );
        assert_eq!(
            (template.transactions.hex(), template.transactions.count()),
            ("0a0b0c", 2)
        );
        let expected = Transactions::new("0a0b0c".into(), &[Hash([3; 32]), Hash([5; 32])]);
        assert_eq!(template.transactions.branch(), expected.branch());
        assert_eq!(
            (template.time, template.min_time),
            (1_800_000_000, 1_799_999_000)
        );
        assert_eq!(
            (template.tail.as_str(), template.coinbase_flags.len()),
            ("", 0)
        );
        assert_eq!(template.kind, TemplateKind::Full);
    }

    #[test]
    fn a32_the_harder_of_bits_and_target_counts() {
        let of_bits = Target::from_compact(0x1702_3456).unwrap();
        let mut reply = bitcoin();
        reply["target"] = json!("f".repeat(64));
        assert_eq!(made(&reply, "bitcoin").unwrap().target, of_bits);
        reply["target"] = json!(format!("{:0>64}", "1".to_owned() + &"0".repeat(40)));
        let target = made(&reply, "bitcoin").unwrap().target;
        assert!(target < of_bits && target.to_string().trim_start_matches('0').len() == 41);
    }

    #[test]
    fn litecoins_extension_block_goes_behind_the_transactions() {
        let mut reply = bitcoin();
        reply["mweb"] = json!("abcd");
        reply["rules"] = json!(["csv", "!segwit", "!mweb"]);
        // The HogEx, which not everybody can decode.
        let hogex =
            json!({ "data": "0800", "txid": Hash([7; 32]), "hash": Hash([7; 32]), "fee": 0 });
        reply["transactions"].as_array_mut().unwrap().push(hogex);
        let template = made(&reply, "litecoin").unwrap();
        assert_eq!(template.tail, "01abcd");
        assert_eq!(template.transactions.hex(), "0a0b0c0800");
        for wrong in ["", "a", "xy"] {
            reply["mweb"] = json!(wrong);
            assert_eq!(
                made(&reply, "litecoin").unwrap_err(),
                "mweb of the template is not hexadecimal"
            );
        }
    }

    #[test]
    fn dogecoins_transactions_may_have_their_id_in_hash_alone() {
        let mut reply = bitcoin();
        reply["version"] = json!(6_422_788);
        reply["rules"] = json!([]);
        reply["transactions"] = json!([{ "data": "00", "hash": Hash([3; 32]), "fee": 5 }]);
        reply["coinbaseaux"] = json!({ "flags": "062f503253482f" });
        let template = made(&reply, "dogecoin").unwrap();
        assert_eq!(template.version, 0x0062_0104);
        assert_eq!(template.transactions.branch().hashes(), [[3; 32]]);
        assert_eq!(template.coinbase_flags, b"\x06/P2SH/");
        assert_eq!(template.witness_commitment, None);
        assert!(made(&reply, "bitcoin").unwrap_err().contains("no txid"));
    }

    #[test]
    fn a_signet_is_mined_on_only_where_anybody_may() {
        let mut reply = bitcoin();
        reply["rules"] = json!(["!segwit", "!signet"]);
        assert!(
            made(&reply, "bitcoin")
                .unwrap_err()
                .contains("rule \"signet\"")
        );
        reply["signet_challenge"] = json!("51");
        assert!(made_on(&reply, "bitcoin", Network::Signet).is_ok());
        reply["signet_challenge"] = json!("512103ad");
        assert!(
            made_on(&reply, "bitcoin", Network::Signet)
                .unwrap_err()
                .contains("signed")
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        #[track_caller]
        fn case(pointer: &str, value: Value, expected: &str) {
            let mut reply = bitcoin();
            *reply.pointer_mut(pointer).unwrap() = value;
            let refused = made(&reply, "bitcoin").unwrap_err();
            assert!(refused.contains(expected), "{pointer}: {refused}");
        }
        case("/height", json!(0), "height");
        case("/height", json!(-1), "malformed");
        case(
            "/height",
            json!(1u64 << 31),
            "height of the template is out of range",
        );
        case("/height", json!(1u64 << 32), "malformed");
        case("/height", json!(900_001.5), "malformed");
        case("/version", json!(1i64 << 31), "version");
        case("/version", json!("1"), "malformed");
        case("/coinbasevalue", json!(-1), "malformed");
        case("/coinbasevalue", json!(1u64 << 63), "coinbasevalue");
        case("/coinbasevalue", json!(5e9), "malformed");
        case("/coinbasevalue", json!(299), "fees are more");
        case("/bits", json!("1702345"), "bits");
        case("/bits", json!("+1702345"), "bits");
        case("/bits", json!("00000000"), "target is zero");
        case("/bits", json!("1780ffff"), "negative");
        case("/bits", json!("ff123456"), "overflows");
        case("/target", json!("00"), "64 hexadecimal digits");
        case("/target", json!("0".repeat(64)), "target is zero");
        case("/curtime", json!(1u64 << 32), "malformed");
        case("/previousblockhash", json!("00"), "malformed");
        case(
            "/transactions/1/fee",
            json!(-1),
            "transaction 1 of the template has a negative fee",
        );
        case("/transactions/1/fee", json!(null), "no fee");
        case("/transactions/1/fee", json!(i64::MAX), "fees are more");
        case("/transactions/1/data", json!("0"), "not hexadecimal");
        case("/transactions/1/data", json!(""), "not hexadecimal");
        case("/transactions/1/data", json!("0g"), "not hexadecimal");
        case("/transactions/1/data", json!("\n0"), "malformed");
        case("/transactions/1/txid", json!("00"), "malformed");
        case("/transactions/1/txid", json!(null), "no txid");
        case("/transactions", json!({}), "malformed");
        case(
            "/default_witness_commitment",
            json!("6a2"),
            "default_witness_commitment",
        );
        case(
            "/default_witness_commitment",
            json!("00".repeat(257)),
            "out of range",
        );
        case(
            "/coinbaseaux",
            json!({ "flags": "00".repeat(33) }),
            "coinbaseaux.flags",
        );
        case("/rules", json!(["!new"]), "needs the rule \"new\"");
    }

    #[test]
    fn fees_beyond_all_money_are_refused() {
        let mut reply = bitcoin();
        let one = json!({ "data": "00", "txid": Hash([3; 32]), "fee": i64::MAX });
        reply["transactions"] = json!([one, one, one]);
        assert!(
            made(&reply, "bitcoin")
                .unwrap_err()
                .contains("beyond all money")
        );
    }

    #[test]
    fn numbers_that_only_text_can_have_are_refused() {
        let body = json!({ "result": bitcoin() }).to_string();
        for number in [
            "1e400",
            "-1e400",
            "9223372036854775808000",
            "00",
            "NaN",
            "1.0",
            "9e8",
        ] {
            let body = body.replace("900001", number);
            assert!(
                made_from(&body, "bitcoin", Network::Main).is_err(),
                "{number}"
            );
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(|b| json!(b)),
            any::<i64>().prop_map(|n| json!(n)),
            any::<u64>().prop_map(|n| json!(n)),
            any::<f64>().prop_map(|n| json!(n)),
            "[0-9a-f]{0,70}".prop_map(|t| json!(t)),
            ".{0,20}".prop_map(|t| json!(t)),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|l| json!(l)),
                prop::collection::hash_map("[a-z]{1,8}", inner, 0..4).prop_map(|m| json!(m)),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_reply_makes_it_panic(body: Vec<u8>, name in 0usize..3) {
            let name = ["bitcoin", "litecoin", "dogecoin"][name];
            let _ = made_from(&String::from_utf8_lossy(&body), name, Network::Main);
        }

        #[test]
        fn no_value_at_any_key_makes_it_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any_json()), 1..4),
            in_transaction: bool,
            name in 0usize..3,
        ) {
            let mut reply = bitcoin();
            reply["mweb"] = json!("00");
            reply["signet_challenge"] = json!("51");
            for (key, value) in changes {
                let object = if in_transaction {
                    reply.pointer_mut("/transactions/0")
                } else {
                    Some(&mut reply)
                };
                let Some(Value::Object(object)) = object else { continue };
                let key = key.get(&object.keys().cloned().collect::<Vec<_>>()).clone();
                object.insert(key, value);
            }
            let name = ["bitcoin", "litecoin", "dogecoin"][name];
            if let Ok(template) = made(&reply, name) {
                prop_assert!(template.fees <= template.value);
                prop_assert!(template.height > 0);
                prop_assert!(template.time >= template.min_time);
                prop_assert!(template.transactions.hex().len().is_multiple_of(2));
            }
        }
    }
}
