//! From a daemon's `get_block_template` to a [`Template`].
//!
//! Called by [`monerod`](super) on a thread where time does not matter. The texts become bytes and
//! numbers here; whether they make sense is for [`mining::cryptonote::whole_template`] to say.

use mining::{
    Amount,
    coin::CryptoNoteRules,
    cryptonote::{Template, id, template::Announced, whole_template::Answer},
};
use pow::Hash;

use super::reply::BlockTemplate;
use crate::daemon::template::Refused;

/// The most that a template may be worth: amounts are kept in 63 bits.
const VALUE_LIMIT: u64 = i64::MAX.unsigned_abs();

/// Makes the template of an answer to a request for `reserve` bytes.
pub(super) fn template(
    reply: &BlockTemplate<'_>,
    reserve: usize,
    rules: &CryptoNoteRules,
) -> Result<Template, Refused> {
    let block = bytes(&reply.blocktemplate_blob, "blocktemplate_blob")?;
    let hashing_blob = bytes(&reply.blockhashing_blob, "blockhashing_blob")?;
    let reserved_offset =
        usize::try_from(reply.reserved_offset).map_err(|_| out_of_range("reserved_offset"))?;
    if reply.expected_reward > VALUE_LIMIT {
        return Err(out_of_range("expected_reward"));
    }
    let next_seed: Option<Hash> = match reply.next_seed_hash.as_ref() {
        "" => None,
        text => Some(text.parse().map_err(|_| not_hex("next_seed_hash"))?),
    };
    let answer = Answer {
        block: Announced {
            block: &block,
            hashing_blob: &hashing_blob,
            reserved_offset,
            reserve_len: reserve,
            height: reply.height,
            previous: id::to_bytes(reply.prev_hash),
            reward: Amount::from_units(reply.expected_reward),
        },
        difficulty: difficulty(reply)?,
        seed_height: reply.seed_height,
        seed: id::to_bytes(reply.seed_hash),
        next_seed: next_seed.map(id::to_bytes),
    };
    Ok(Template::new(&answer, rules)?)
}

/// It is told twice, in two halves and as a whole.
fn difficulty(reply: &BlockTemplate<'_>) -> Result<u128, Refused> {
    let halves = u128::from(reply.difficulty_top64) << 64 | u128::from(reply.difficulty);
    let Some(whole) = &reply.wide_difficulty else {
        return Ok(halves);
    };
    let digits = whole.strip_prefix("0x");
    let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let whole = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok());
    let whole = whole.ok_or_else(|| not_hex("wide_difficulty"))?;
    if whole != halves {
        return Err(out_of_range("wide_difficulty"));
    }
    Ok(whole)
}

fn bytes(text: &str, field: &'static str) -> Result<Vec<u8>, Refused> {
    hex::decode(text).map_err(|_| not_hex(field))
}

fn out_of_range(field: &'static str) -> Refused {
    Refused::OutOfRange { field }
}

fn not_hex(field: &'static str) -> Refused {
    Refused::NotHex { field }
}

#[cfg(test)]
mod tests;
