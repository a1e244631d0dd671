//! Addresses as text and the scripts they stand for, with the chain's own prefix.
//!
//! The bitcoin crate knows Bitcoin's prefixes only; the scrypt chain bears Litecoin's regtest prefix,
//! so that miners and pools meet the addresses they expect.

use bitcoin::{
    PubkeyHash, Script, ScriptBuf, ScriptHash, WitnessProgram, WitnessVersion, base58,
    bech32::{Fe32, Hrp, segwit},
    hashes::Hash as _,
};

use crate::params::Params;

/// Pay-to-public-key-hash addresses of every test network.
const PUBLIC_KEY_HASH_VERSION: u8 = 111;
/// The older form of pay-to-script-hash, still read on Litecoin.
const OLD_SCRIPT_HASH_VERSION: u8 = 196;

/// The address that pays to `script`, if there is one.
pub(crate) fn encode(params: &Params, script: &Script) -> Option<String> {
    let bytes = script.as_bytes();
    if script.is_p2pkh() {
        return Some(base58_text(PUBLIC_KEY_HASH_VERSION, &bytes[3..23]));
    }
    if script.is_p2sh() {
        return Some(base58_text(params.script_hash_version, &bytes[2..22]));
    }
    let version = Fe32::try_from(script.witness_version()?.to_num()).ok()?;
    segwit::encode(hrp(params), version, &bytes[2..]).ok()
}

/// The script an address pays to, `None` when the text is not an address of this chain.
pub(crate) fn decode(params: &Params, text: &str) -> Option<ScriptBuf> {
    if let Ok((found, version, program)) = segwit::decode(text) {
        let version = WitnessVersion::try_from(version.to_u8()).ok()?;
        let program = WitnessProgram::new(version, &program).ok()?;
        return (found == hrp(params)).then(|| ScriptBuf::new_witness_program(&program));
    }
    let bytes = base58::decode_check(text).ok()?;
    let (&version, hash) = bytes.split_first()?;
    let hash = <[u8; 20]>::try_from(hash).ok()?;
    match version {
        PUBLIC_KEY_HASH_VERSION => Some(ScriptBuf::new_p2pkh(&PubkeyHash::from_byte_array(hash))),
        _ if version == params.script_hash_version || version == OLD_SCRIPT_HASH_VERSION => {
            Some(ScriptBuf::new_p2sh(&ScriptHash::from_byte_array(hash)))
        }
        _ => None,
    }
}

fn hrp(params: &Params) -> Hrp {
    Hrp::parse(params.hrp).expect("the prefixes in params are lower-case letters")
}

fn base58_text(version: u8, hash: &[u8]) -> String {
    base58::encode_check(&[&[version], hash].concat())
}

#[cfg(test)]
mod tests {
    use pow::Algorithm;

    use super::*;

    #[test]
    fn every_kind_of_address_round_trips_on_both_chains() {
        let scripts = [
            "76a914000102030405060708090a0b0c0d0e0f1011121388ac",
            "a914000102030405060708090a0b0c0d0e0f1011121387",
            "0014000102030405060708090a0b0c0d0e0f10111213",
            "0020000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "5120000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        ];
        for params in [Params::regtest(), Params::simnet(Algorithm::Scrypt)] {
            for hex in scripts {
                let script = ScriptBuf::from_hex(hex).unwrap();
                let text = encode(&params, &script).unwrap();
                assert_eq!(decode(&params, &text), Some(script), "{text}");
            }
            assert_eq!(encode(&params, Script::from_bytes(&[0x51])), None);
        }
    }

    #[test]
    fn an_address_of_another_chain_is_none_of_ours() {
        let params = Params::regtest();
        for text in [
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "rltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kxx0rzy",
            "",
            "bcrt1",
        ] {
            assert_eq!(decode(&params, text), None, "{text}");
        }
    }
}
