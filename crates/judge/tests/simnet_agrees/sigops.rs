//! Signature operations, of which a block has 80,000 at most by their cost.
//!
//! Each count is looked at from both sides: a block filled up to the limit and one beyond.

use bitcoin::{
    Amount, ScriptBuf, TxOut, Witness, opcodes::all::OP_CHECKMULTISIG, opcodes::all::OP_CHECKSIG,
    opcodes::all::OP_PUSHNUM_16, script::Builder,
};

use crate::{
    block::{after, block_on, filled, good, pushed, repeated, spending, with},
    dice::Dice,
    purse::{Coin, Kind, pay},
    twins::Twins,
};

#[test]
fn signature_operations_are_counted_alike() {
    let mut twins = Twins::new();
    let (early, late) = ("legacy operations alone", "with those of what is spent");
    let sigops = Some("bad-blk-sigops");
    // The coinbase of these tests has two already: a bare key and a key's hash.
    for (count, expected) in [(19_998, None), (19_999, sigops)] {
        let mut block = good(&twins, &[]);
        filled(&mut block, repeated(OP_CHECKSIG, count));
        twins.case(early, &block, expected);
    }
    // Without a known number before it, a multisig counts 20, and so it does with one here.
    for (script, count) in [
        (repeated(OP_CHECKMULTISIG, 1), 20),
        (
            Builder::new()
                .push_opcode(OP_PUSHNUM_16)
                .push_opcode(OP_CHECKMULTISIG)
                .into_script(),
            20,
        ),
        (ScriptBuf::from_bytes(vec![0xad]), 1),
        (ScriptBuf::from_bytes(vec![0xaf]), 20),
        (ScriptBuf::from_bytes(vec![0xba]), 0),
        (ScriptBuf::from_bytes(vec![0x02, 0xac]), 0),
        (ScriptBuf::from_bytes(vec![0x4c, 0x02, 0xac, 0xac, 0xac]), 1),
        (ScriptBuf::from_bytes(vec![0x6a, 0xac]), 1),
        (
            ScriptBuf::from_bytes(vec![0x4e, 0xff, 0xff, 0xff, 0xff, 0xac]),
            0,
        ),
    ] {
        for over in [0, 1] {
            let mut block = good(&twins, &[]);
            let output = TxOut {
                value: Amount::ZERO,
                script_pubkey: script.clone(),
            };
            block.txdata[0].output.insert(0, output);
            filled(&mut block, repeated(OP_CHECKSIG, 19_998 - count + over));
            let expected = (over == 1).then_some("bad-blk-sigops");
            twins.case(&format!("{early}: {script:?}"), &block, expected);
        }
    }
    // Each in the input of a spend, with its cost; the scripts behind the hashes are not run before.
    let code = |bytes: &[u8]| ScriptBuf::from_bytes(bytes.to_vec());
    let multisig = code(&[0x53, 0xae]);
    let bare = code(&[0xae, 0xac, 0xad]);
    let spends: [(&str, ScriptBuf, ScriptBuf, Witness, usize); 12] = [
        (
            "P2WPKH",
            Kind::P2wpkh.script(),
            code(&[]),
            Witness::new(),
            1,
        ),
        (
            "P2SH-P2WPKH",
            Kind::P2shP2wpkh.script(),
            pushed(&Kind::P2wpkh.script()),
            Witness::new(),
            1,
        ),
        (
            "P2TR",
            Kind::P2tr.script(),
            code(&[]),
            Witness::from_slice(&[[0xac; 64]]),
            0,
        ),
        (
            "P2WSH",
            Kind::P2wsh.script(),
            code(&[]),
            Witness::from_slice(&[bare.as_bytes()]),
            22,
        ),
        (
            "P2WSH 3-of",
            Kind::P2wsh.script(),
            code(&[]),
            Witness::from_slice(&[multisig.as_bytes()]),
            3,
        ),
        (
            "P2WSH without witness",
            Kind::P2wsh.script(),
            code(&[]),
            Witness::new(),
            0,
        ),
        (
            "P2SH",
            bare.to_p2sh(),
            pushed(&bare),
            Witness::new(),
            4 * 22,
        ),
        (
            "P2SH 3-of",
            multisig.to_p2sh(),
            pushed(&multisig),
            Witness::new(),
            4 * 3,
        ),
        (
            "P2SH with an operation",
            bare.to_p2sh(),
            code(&[0x61, 0x03, 0xae, 0xac, 0xad]),
            Witness::new(),
            0,
        ),
        (
            "P2SH with a number last",
            bare.to_p2sh(),
            code(&[0x03, 0xae, 0xac, 0xad, 0x51]),
            Witness::new(),
            0,
        ),
        (
            "P2SH-P2WSH",
            Kind::P2wsh.script().to_p2sh(),
            pushed(&Kind::P2wsh.script()),
            Witness::from_slice(&[bare.as_bytes()]),
            22,
        ),
        (
            "a bare script",
            code(&[0x51, 0xac]),
            code(&[0xac, 0xae]),
            Witness::new(),
            4 * 21,
        ),
    ];
    for (name, paid, script_sig, witness, cost) in spends {
        let coin = twins.coin(Kind::True);
        let mut make = spending(&[coin]);
        make.output[0].script_pubkey = paid;
        twins.case(name, &with(&twins, make.clone()), None);
        let mut spend = after(&make);
        spend.input[0].script_sig = script_sig;
        spend.input[0].witness = witness;
        // The rest in operations of the coinbase, four each, and P2WPKH inputs, one each.
        let operations = (80_000 - cost) / 4 - 2;
        let fill: Vec<Coin> = (0..=(80_000 - cost) % 4)
            .map(|_| twins.coin(Kind::P2wpkh))
            .collect();
        for (inputs, too_many) in [(&fill[1..], false), (&fill[..], true)] {
            let mut transactions = vec![spend.clone()];
            transactions.extend(
                inputs
                    .iter()
                    .map(|coin| pay(std::slice::from_ref(coin), &[Kind::True], 0)),
            );
            let mut block = block_on(&twins.tip(), &transactions, 0);
            filled(&mut block, repeated(OP_CHECKSIG, operations));
            let name = format!("{late}: {name}, too many: {too_many}");
            let reason = twins.feed(&name, &block);
            assert_eq!(reason.as_deref() == sigops, too_many, "{name}: {reason:?}");
            if reason.is_none() {
                // Taken, so that it would be missing next time.
                break;
            }
        }
    }
    twins.part();
}

#[test]
fn signature_operations_of_any_script_are_counted_alike() {
    const BYTES: [u8; 20] = [
        0x00, 0x01, 0x02, 0x03, 0x4c, 0x4d, 0x4e, 0x4f, 0x50, 0x51, 0x52, 0x60, 0x61, 0x6a, 0xac,
        0xad, 0xae, 0xae, 0xaf, 0xba,
    ];
    let mut twins = Twins::new();
    let mut dice = Dice(3);
    for round in 0..120 {
        let any = |dice: &mut Dice| {
            let bytes = (0..dice.below(8)).map(|_| dice.of(&BYTES)).collect();
            ScriptBuf::from_bytes(bytes)
        };
        let code = any(&mut dice);
        let (paid, script_sig, witness) = match dice.below(6) {
            0 => (any(&mut dice), any(&mut dice), Witness::new()),
            1 => (code.to_p2sh(), pushed(&code), Witness::new()),
            2 => (code.to_p2sh(), any(&mut dice), Witness::new()),
            3 => (
                code.to_p2wsh(),
                any(&mut dice),
                Witness::from_slice(&[code.as_bytes()]),
            ),
            4 => {
                let program = code.to_p2wsh();
                let witness = Witness::from_slice(&[code.as_bytes()]);
                (program.to_p2sh(), pushed(&program), witness)
            }
            _ => {
                // Something before the push of the program.
                let program = code.to_p2wsh();
                let script = [any(&mut dice).into_bytes(), pushed(&program).into_bytes()].concat();
                let witness = Witness::from_slice(&[code.as_bytes()]);
                (program.to_p2sh(), ScriptBuf::from_bytes(script), witness)
            }
        };
        let coin = twins.coin(Kind::True);
        let mut make = spending(&[coin]);
        make.output[0].script_pubkey = paid;
        if twins.feed("a coin", &with(&twins, make.clone())).is_some() {
            continue;
        }
        let mut spend = after(&make);
        spend.input[0].script_sig = script_sig;
        spend.input[0].witness = witness;
        // If this count is not the judge's, then one of the two blocks shows it.
        let cost = spend.total_sigop_cost(|_| Some(make.output[0].clone()));
        let operations = (80_000 - cost) / 4 - 2;
        for operations in [operations, operations + 1] {
            let mut block = block_on(&twins.tip(), std::slice::from_ref(&spend), 0);
            filled(&mut block, repeated(OP_CHECKSIG, operations));
            twins.feed(
                &format!("round {round}, {operations} operations beside {spend:?}"),
                &block,
            );
        }
    }
    twins.part();
}
