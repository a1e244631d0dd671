//! The coinbase transaction, split around the extranonces.
//!
//! ```text
//! version 4 | 01 | 32 x 00, ffffffff | script length | height push | flags | tag push | 0x10
//!                                                                     \___ prefix ends here
//! salt 4 (the job's id) | extranonce1 4 | extranonce2 2..8            <- differs by job and miner
//! sequence fffffffe | outputs | commitment | locktime = height - 1    <- suffix
//! ```
//!
//! The prefix is hashed once a template and kept as a midstate. The locktime with a sequence that
//! is not final makes every coinbase unique and is what BIP54 asks for. An error here means that
//! the pool's settings do not fit into a coinbase.

use pow::{Hash, Midstate};

use crate::{Amount, Template, device::CoinbaseClass};

/// The bytes of extranonce1.
pub const EXTRANONCE1_SIZE: usize = 4;
/// The bytes of the salt before it.
pub const SALT_SIZE: usize = 4;
/// The most bytes of extranonce2: Whatsminer and cgminer cannot take more.
pub const EXTRANONCE2_SIZE_MAX: usize = 8;
/// The fewest bytes of extranonce2 with which an ASIC does not run out of work.
pub const EXTRANONCE2_SIZE_MIN: usize = 2;
/// The bytes of a mark.
pub const MARK_SIZE: usize = 32;
/// Consensus: a coinbase's script has 2 to 100 bytes.
const SCRIPT_SIZE_MAX: usize = 100;

/// Who is paid by a coinbase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payees {
    /// Paid these amounts, the first ones first; those that do not fit the device are left out.
    pub outputs: Vec<Output>,
    /// The script that gets everything else.
    pub keeper: Vec<u8>,
}

/// One payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How much.
    pub amount: Amount,
    /// To whom.
    pub script: Vec<u8>,
}

/// A coinbase without the part that differs by job and miner.
#[derive(Clone, Debug)]
pub struct Coinbase {
    prefix: Vec<u8>,
    suffix: Vec<u8>,
    midstate: Midstate,
    paid: Vec<Output>,
    has_witness: bool,
}

/// Why there is no coinbase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoinbaseError {
    /// The script would be too long.
    #[error("the coinbase script has {0} bytes, more than 100: shorten the pool's tag")]
    ScriptTooLong(usize),
    /// The size of extranonce2 is not one that devices can work with.
    #[error("extranonce2 of {0} bytes: only 2 to 8 work")]
    Extranonce2Size(usize),
    /// More is to be paid than there is.
    #[error("outputs of the coinbase exceed its value")]
    TooMuch,
    /// Not even the keeper's output fits.
    #[error("a coinbase of {size} bytes does not fit the {budget} bytes of this device")]
    TooLarge {
        /// The bytes it has.
        size: usize,
        /// The bytes it may have.
        budget: usize,
    },
}

/// The template whose coinbases bear a mark too, behind the daemon's flags: 32 bytes that mean something
/// to whoever knows them. Nothing if the script has no room for it beside this tag.
///
/// It stands in the template, so that whoever has that makes the same coinbase again.
pub fn marked(
    template: &Template,
    mark: [u8; MARK_SIZE],
    tag: &[u8],
    extranonce2_size: usize,
) -> Option<Template> {
    let mut flags = template.coinbase_flags.clone();
    push_data(&mut flags, &mark);
    let free = SALT_SIZE + EXTRANONCE1_SIZE + extranonce2_size;
    let script = script(template.height, &flags, tag, free);
    let fits = script.len() + free <= SCRIPT_SIZE_MAX;
    fits.then(|| Template {
        coinbase_flags: flags,
        ..template.clone()
    })
}

impl Coinbase {
    /// The coinbase for `template`, with at most the bytes that `class` can take and the block has
    /// room for. `tag` is what block explorers know the pool by.
    pub fn new(
        template: &Template,
        tag: &[u8],
        payees: &Payees,
        extranonce2_size: usize,
        class: CoinbaseClass,
    ) -> Result<Self, CoinbaseError> {
        if !(EXTRANONCE2_SIZE_MIN..=EXTRANONCE2_SIZE_MAX).contains(&extranonce2_size) {
            return Err(CoinbaseError::Extranonce2Size(extranonce2_size));
        }
        let free = SALT_SIZE + EXTRANONCE1_SIZE + extranonce2_size;
        let prefix = prefix(template, tag, free)?;
        let commitment = template.witness_commitment.as_deref();
        // The keeper's output always has its place; each other one is taken while it fits.
        let fixed = prefix.len()
            + free
            + SEQUENCE.len()
            + LARGEST_COUNT
            + output_size(&payees.keeper)
            + commitment.map_or(0, output_size)
            + LOCKTIME_SIZE;
        let budget = class.budget();
        let too_large = CoinbaseError::TooLarge {
            size: fixed,
            budget,
        };
        let free_bytes = budget.checked_sub(fixed).ok_or(too_large)?;
        // What the template leaves; the keeper is paid even where that seems to be nothing.
        let room = template.room;
        let witness_weight = if commitment.is_some() {
            WITNESS_WEIGHT
        } else {
            0
        };
        let room_bytes = usize::try_from(room.weight.saturating_sub(witness_weight) / 4);
        let room_bytes = room_bytes.unwrap_or(usize::MAX).saturating_sub(fixed);
        let mut left = free_bytes.min(room_bytes);
        let mut sigops_left = room.sigops.saturating_sub(sigops(&payees.keeper));
        let mut paid = Vec::new();
        for output in &payees.outputs {
            let (size, cost) = (output_size(&output.script), sigops(&output.script));
            if size <= left && cost <= sigops_left {
                left -= size;
                sigops_left -= cost;
                paid.push(output.clone());
            }
        }
        let rest = Amount::checked_sum(paid.iter().map(|output| output.amount))
            .and_then(|sum| template.value.checked_sub(sum))
            .ok_or(CoinbaseError::TooMuch)?;
        if rest > Amount::ZERO || paid.is_empty() {
            paid.push(Output {
                amount: rest,
                script: payees.keeper.clone(),
            });
        }

        let mut suffix = SEQUENCE.to_vec();
        push_count(&mut suffix, paid.len() + usize::from(commitment.is_some()));
        for output in &paid {
            push_output(&mut suffix, output.amount, &output.script);
        }
        if let Some(commitment) = commitment {
            push_output(&mut suffix, Amount::ZERO, commitment);
        }
        suffix.extend(template.height.saturating_sub(1).to_le_bytes());
        let midstate = Midstate::new(&prefix);
        Ok(Self {
            prefix,
            suffix,
            midstate,
            paid,
            has_witness: commitment.is_some(),
        })
    }

    /// The transaction's id: the double hash of its form without witness.
    pub fn id(&self, salt: u32, extranonce1: [u8; 4], extranonce2: &[u8]) -> Hash {
        self.midstate
            .finish(&[&salt.to_be_bytes(), &extranonce1, extranonce2, &self.suffix])
    }

    /// The whole transaction as it stands in a block, with its witness where there is a commitment.
    pub fn transaction(&self, salt: u32, extranonce1: [u8; 4], extranonce2: &[u8]) -> Vec<u8> {
        let free: [&[u8]; 3] = [&salt.to_be_bytes(), &extranonce1, extranonce2];
        if !self.has_witness {
            return [&self.prefix, &free.concat(), &self.suffix]
                .map(Vec::as_slice)
                .concat();
        }
        let (version, inputs) = self.prefix.split_at(4);
        let (outputs, locktime) = self.suffix.split_at(self.suffix.len() - LOCKTIME_SIZE);
        // BIP141: marker and flag; one witness item of 32 zero bytes, the reserved value.
        let witness = [&[1, 32][..], &[0; 32]].concat();
        [
            version,
            &[0, 1],
            inputs,
            &free.concat(),
            outputs,
            &witness,
            locktime,
        ]
        .concat()
    }

    /// What goes before the salt: the first part of a miner's `coinb1`.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// What goes behind the extranonces: a miner's `coinb2`.
    pub fn suffix(&self) -> &[u8] {
        &self.suffix
    }

    /// The payments it makes, in their order; they add up to the template's value.
    pub fn paid(&self) -> &[Output] {
        &self.paid
    }
}

/// Not final, so that the locktime counts.
const SEQUENCE: [u8; 4] = 0xffff_fffe_u32.to_le_bytes();
const LOCKTIME_SIZE: usize = 4;
/// Marker, flag, and one witness item of 32 bytes with its two counts.
const WITNESS_WEIGHT: u64 = 2 + 1 + 1 + 32;
const OP_CHECKSIG: u8 = 0xac;
/// The bytes reserved for the number of outputs.
const LARGEST_COUNT: usize = 3;

fn prefix(template: &Template, tag: &[u8], free: usize) -> Result<Vec<u8>, CoinbaseError> {
    let script = script(template.height, &template.coinbase_flags, tag, free);
    let script_size = script.len() + free;
    if script_size > SCRIPT_SIZE_MAX {
        return Err(CoinbaseError::ScriptTooLong(script_size));
    }
    let mut prefix = 2u32.to_le_bytes().to_vec();
    prefix.push(1);
    prefix.extend([0; 32]);
    prefix.extend([0xff; 4]);
    prefix.push(u8::try_from(script_size).expect("at most 100"));
    prefix.extend(script);
    Ok(prefix)
}

/// The script without the bytes that differ by job and miner.
fn script(height: u32, flags: &[u8], tag: &[u8], free: usize) -> Vec<u8> {
    let mut script = height_push(height);
    script.extend(flags);
    if !tag.is_empty() {
        push_data(&mut script, tag);
    }
    script.push(u8::try_from(free).expect("at most 16 bytes are free"));
    script
}

/// BIP34: the height as Bitcoin's script number, with the small-number opcodes up to 16.
fn height_push(height: u32) -> Vec<u8> {
    match u8::try_from(height) {
        Ok(0) => vec![0x00],
        Ok(small @ 1..=16) => vec![0x50 + small],
        _ => {
            let mut number = height.to_le_bytes().to_vec();
            while number.last() == Some(&0) {
                number.pop();
            }
            // The top bit is the sign.
            if number.last().is_some_and(|byte| byte & 0x80 != 0) {
                number.push(0);
            }
            let mut push = Vec::new();
            push_data(&mut push, &number);
            push
        }
    }
}

/// A push of at most 255 bytes.
fn push_data(script: &mut Vec<u8>, data: &[u8]) {
    let len = u8::try_from(data.len()).unwrap_or(u8::MAX);
    if len > 75 {
        script.push(0x4c);
    }
    script.push(len);
    script.extend(data);
}

/// What paying to a script costs of the block's signature operations: an `OP_CHECKSIG` in it counts
/// four times (BIP141). Of the scripts that addresses stand for, only pay-to-public-key-hash has one.
fn sigops(script: &[u8]) -> u64 {
    if script.last() == Some(&OP_CHECKSIG) {
        4
    } else {
        0
    }
}

fn output_size(script: &[u8]) -> usize {
    8 + compact_size(script.len()).len() + script.len()
}

fn push_output(bytes: &mut Vec<u8>, amount: Amount, script: &[u8]) {
    bytes.extend(amount.units().to_le_bytes());
    push_count(bytes, script.len());
    bytes.extend(script);
}

fn push_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend(compact_size(count));
}

/// Bitcoin's variable-length integer.
pub(crate) fn compact_size(count: usize) -> Vec<u8> {
    match (
        u8::try_from(count),
        u16::try_from(count),
        u32::try_from(count),
    ) {
        (Ok(byte @ 0..=0xfc), _, _) => vec![byte],
        (_, Ok(short), _) => [&[0xfd][..], &short.to_le_bytes()].concat(),
        (_, _, Ok(long)) => [&[0xfe][..], &long.to_le_bytes()].concat(),
        _ => [
            &[0xff][..],
            &u64::try_from(count).expect("64-bit at most").to_le_bytes(),
        ]
        .concat(),
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::{absolute::LockTime, consensus, hashes::Hash as _};
    use proptest::prelude::*;

    use super::*;
    use crate::template::{Room, TemplateKind, Transactions};

    fn template(height: u32, commitment: bool) -> Template {
        Template {
            height,
            version: 0x2000_0000,
            previous: Hash([1; 32]),
            bits: 0x207f_ffff,
            target: crate::Target::from_compact(0x207f_ffff).unwrap(),
            time: 1_700_000_000,
            min_time: 1_699_999_000,
            value: Amount::from_units(5_000_000_000),
            fees: Amount::ZERO,
            witness_commitment: commitment
                .then(|| [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], &[9; 32]].concat()),
            coinbase_flags: vec![],
            transactions: Transactions::default(),
            tail: String::new(),
            room: Room::EMPTY_BLOCK,
            kind: TemplateKind::Full,
        }
    }

    fn payees(count: u8) -> Payees {
        let outputs = (0..count).map(|i| Output {
            amount: Amount::from_units(1000 + u64::from(i)),
            script: [&[0, 20][..], &[i; 20]].concat(),
        });
        Payees {
            outputs: outputs.collect(),
            keeper: [&[0x51, 32][..], &[7; 32]].concat(),
        }
    }

    #[test]
    fn every_class_gets_a_coinbase_that_decodes_and_fits() {
        for class in CoinbaseClass::ALL {
            for count in [0, 1, 20, 250] {
                for commitment in [false, true] {
                    let template = template(840_000, commitment);
                    let coinbase =
                        Coinbase::new(&template, b"/adit/", &payees(count), 8, class).unwrap();
                    let bytes = coinbase.transaction(5, [1, 2, 3, 4], &[9; 8]);
                    let decoded: bitcoin::Transaction = consensus::deserialize(&bytes).unwrap();
                    assert!(decoded.is_coinbase());
                    assert_eq!(
                        decoded.compute_txid().to_byte_array(),
                        coinbase.id(5, [1, 2, 3, 4], &[9; 8]).0
                    );
                    assert!(decoded.base_size() <= class.budget(), "{class:?}");
                    let sum: u64 = decoded.output.iter().map(|o| o.value.to_sat()).sum();
                    assert_eq!(sum, 5_000_000_000);
                    assert_eq!(decoded.lock_time, LockTime::from_consensus(839_999));
                    assert!(!decoded.input[0].sequence.is_final());
                    assert_eq!(decoded.input[0].witness.len(), usize::from(commitment));
                    let all = usize::from(count) + 1 + usize::from(commitment);
                    assert!(decoded.output.len() <= all);
                    assert!(class < CoinbaseClass::Huge || decoded.output.len() == all);
                }
            }
        }
    }

    #[test]
    fn a_mark_stands_in_every_coinbase_and_none_is_too_large_for_its_device() {
        let mark: [u8; MARK_SIZE] = std::array::from_fn(|i| u8::try_from(i).unwrap() + 0x80);
        let tag = [b'x'; 38];
        // The longest height that there will be for a thousand years, and the longest tag.
        let template = template(8_388_608, true);
        let marked = marked(&template, mark, &tag, 8).unwrap();
        for class in CoinbaseClass::ALL {
            for count in [0, 1, 20, 250] {
                let coinbase = Coinbase::new(&marked, &tag, &payees(count), 8, class).unwrap();
                let bytes = coinbase.transaction(5, [1, 2, 3, 4], &[9; 8]);
                let decoded: bitcoin::Transaction = consensus::deserialize(&bytes).unwrap();
                assert!(decoded.base_size() <= class.budget(), "{class:?} {count}");
                let script = decoded.input[0].script_sig.as_bytes();
                assert!(script.len() <= SCRIPT_SIZE_MAX);
                let pushed = [&[32][..], &mark, &[38], &tag].concat();
                assert!(script.windows(pushed.len()).any(|part| part == pushed));
            }
        }
    }

    #[test]
    fn a_mark_that_has_no_room_is_left_out() {
        let tag = [b'x'; 38];
        let room_for = |flags: usize, height, size| {
            let mut template = template(height, true);
            template.coinbase_flags = vec![1; flags];
            let marked = marked(&template, [7; MARK_SIZE], &tag, size)?;
            let new = Coinbase::new(&marked, &tag, &payees(0), size, CoinbaseClass::Rental);
            new.unwrap();
            Some(marked.coinbase_flags.len() - flags)
        };
        assert_eq!(room_for(0, 840_000, 8), Some(33));
        assert_eq!(room_for(7, 840_000, 8), Some(33));
        assert_eq!(room_for(8, 840_000, 8), None);
        assert_eq!(room_for(8, 840_000, 7), Some(33));
        assert_eq!(room_for(7, 8_388_608, 8), None);
    }

    #[test]
    fn heights_are_pushed_as_bip34_has_them() {
        for height in [
            1, 2, 16, 17, 127, 128, 255, 256, 32_767, 32_768, 840_000, 8_388_608,
        ] {
            let expected = bitcoin::script::Builder::new()
                .push_int(i64::from(height))
                .into_script();
            assert_eq!(height_push(height), expected.as_bytes(), "{height}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let template = template(840_000, true);
        let new = |tag: &[u8], payees: &Payees, size| {
            Coinbase::new(&template, tag, payees, size, CoinbaseClass::Rental).map(|_| ())
        };
        assert_eq!(
            new(&[b'x'; 90], &payees(0), 8),
            Err(CoinbaseError::ScriptTooLong(113))
        );
        for size in [0, 1, 9, 17] {
            assert_eq!(
                new(b"", &payees(0), size),
                Err(CoinbaseError::Extranonce2Size(size))
            );
        }
        let mut greedy = payees(1);
        greedy.outputs[0].amount = Amount::from_units(5_000_000_001);
        assert_eq!(new(b"", &greedy, 8), Err(CoinbaseError::TooMuch));
        greedy.keeper = vec![0x51; 500];
        assert!(matches!(
            new(b"", &greedy, 8),
            Err(CoinbaseError::TooLarge { .. })
        ));
    }

    #[test]
    fn counts_are_encoded_as_in_bitcoin() {
        for count in [0, 0xfc, 0xfd, 0xffff, 0x1_0000] {
            let expected = consensus::serialize(&bitcoin::VarInt::from(count));
            assert_eq!(compact_size(count), expected);
        }
    }

    proptest! {
        #[test]
        fn a28_what_a_miner_joins_is_one_transaction(
            height in 1u32..1 << 31,
            has_commitment: bool,
            flags in prop::collection::vec(any::<u8>(), 0..20),
            tag in prop::collection::vec(any::<u8>(), 0..38),
            outputs in 0u8..60,
            class in prop::sample::select(&CoinbaseClass::ALL[..]),
            salt: u32,
            extranonce1: [u8; 4],
            extranonce2 in prop::collection::vec(any::<u8>(), 2..=8),
        ) {
            let mut template = template(height, has_commitment);
            template.coinbase_flags = flags;
            let made = Coinbase::new(&template, &tag, &payees(outputs), extranonce2.len(), class);
            let Ok(coinbase) = made else {
                prop_assert!(matches!(made, Err(CoinbaseError::ScriptTooLong(_))));
                return Ok(());
            };
            let salt_bytes = salt.to_be_bytes();
            let joined = [
                coinbase.prefix(), &salt_bytes, &extranonce1, &extranonce2, coinbase.suffix(),
            ].concat();
            let plain: bitcoin::Transaction = consensus::deserialize(&joined).unwrap();
            prop_assert!(plain.is_coinbase() && plain.input.len() == 1);
            // Nothing in it is read as the mark of a witness.
            prop_assert_eq!(consensus::serialize(&plain), joined);
            let id = coinbase.id(salt, extranonce1, &extranonce2);
            prop_assert_eq!(plain.compute_txid().to_byte_array(), id.0);
            prop_assert!(plain.input[0].script_sig.len() <= 100);
            // The same with its witness, as it stands in a block.
            let whole = coinbase.transaction(salt, extranonce1, &extranonce2);
            let whole: bitcoin::Transaction = consensus::deserialize(&whole).unwrap();
            prop_assert_eq!(whole.compute_txid(), plain.compute_txid());
            prop_assert_eq!(&whole.output, &plain.output);
            prop_assert_eq!(whole.input[0].witness.len(), usize::from(has_commitment));
        }
    }
}
