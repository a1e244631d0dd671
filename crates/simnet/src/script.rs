//! Whether an input may spend its coin: pay to public key (hash), to witness public key hash, plain
//! or nested, to witness script hash, and the key path of taproot.
//!
//! This is a small part of Bitcoin Core's interpreter with its verdicts and error texts. An opcode
//! that is not here, a taproot script path included, is refused rather than guessed: a block that
//! needs it is rejected with `block-script-verify-flag-failed`.

use std::sync::LazyLock;

use bitcoin::{
    EcdsaSighashType, Script, TapSighashType, Transaction, TxOut, WitnessVersion,
    hashes::{Hash as _, hash160, sha256, sha256d},
    opcodes::all::{
        OP_CHECKSIG, OP_CHECKSIGVERIFY, OP_DROP, OP_DUP, OP_EQUAL, OP_EQUALVERIFY, OP_HASH160,
        OP_NOP, OP_PUSHNUM_1, OP_PUSHNUM_16, OP_PUSHNUM_NEG1, OP_RETURN, OP_VERIFY,
    },
    script::{Instruction, PushBytes},
    secp256k1::{All, Message, PublicKey, Secp256k1, XOnlyPublicKey, ecdsa, schnorr},
    sighash::{Annex, Prevouts, SighashCache},
    taproot::TAPROOT_ANNEX_PREFIX,
};

use crate::utxo::MAX_SCRIPT_BYTES;

/// The curve's tables are made once.
pub(crate) static SECP: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// Limits of Bitcoin Core's script/script.h.
const MAX_ELEMENT_BYTES: usize = 520;
const MAX_OPERATIONS: u32 = 201;
const MAX_STACK: usize = 1000;

/// The rules in force: a block's, or the stricter ones of the memory pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    Consensus,
    Policy,
}

/// Why an input may not spend its coin; the text is Bitcoin Core's (`ScriptErrorString`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScriptError {
    EvalFalse,
    Return,
    ScriptSize,
    PushSize,
    OperationCount,
    StackSize,
    Verify,
    EqualVerify,
    CheckSigVerify,
    BadOpcode,
    InvalidStackOperation,
    SignatureDer,
    SignatureHighS,
    SignatureNullFail,
    SignaturePushOnly,
    CleanStack,
    WitnessProgramWrongLength,
    WitnessProgramEmpty,
    WitnessProgramMismatch,
    WitnessMalleated,
    WitnessMalleatedP2sh,
    WitnessUnexpected,
    SchnorrSize,
    SchnorrHashType,
    Schnorr,
    /// Not of Bitcoin Core: this node does not run such a script.
    Unsupported,
}

impl ScriptError {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::EvalFalse => {
                "Script evaluated without error but finished with a false/empty top stack element"
            }
            Self::Return => "OP_RETURN was encountered",
            Self::ScriptSize => "Script is too big",
            Self::PushSize => "Push value size limit exceeded",
            Self::OperationCount => "Operation limit exceeded",
            Self::StackSize => "Stack size limit exceeded",
            Self::Verify => "Script failed an OP_VERIFY operation",
            Self::EqualVerify => "Script failed an OP_EQUALVERIFY operation",
            Self::CheckSigVerify => "Script failed an OP_CHECKSIGVERIFY operation",
            Self::BadOpcode => "Opcode missing or not understood",
            Self::InvalidStackOperation => "Operation not valid with the current stack size",
            Self::SignatureDer => "Non-canonical DER signature",
            Self::SignatureHighS => "Non-canonical signature: S value is unnecessarily high",
            Self::SignatureNullFail => {
                "Signature must be zero for failed CHECK(MULTI)SIG operation"
            }
            Self::SignaturePushOnly => "Only push operators allowed in signatures",
            Self::CleanStack => "Stack size must be exactly one after execution",
            Self::WitnessProgramWrongLength => "Witness program has incorrect length",
            Self::WitnessProgramEmpty => "Witness program was passed an empty witness",
            Self::WitnessProgramMismatch => "Witness program hash mismatch",
            Self::WitnessMalleated => "Witness requires empty scriptSig",
            Self::WitnessMalleatedP2sh => "Witness requires only-redeemscript scriptSig",
            Self::WitnessUnexpected => "Witness provided for non-witness script",
            Self::SchnorrSize => "Invalid Schnorr signature size",
            Self::SchnorrHashType => "Invalid Schnorr signature hash type",
            Self::Schnorr => "Invalid Schnorr signature",
            Self::Unsupported => "this node does not run such a script",
        }
    }
}

/// Checks one input against the coins of all inputs (`VerifyScript` in script/interpreter.cpp).
pub(crate) fn verify(
    cache: &mut SighashCache<&Transaction>,
    index: usize,
    prevouts: &[TxOut],
    rules: Rules,
) -> Result<(), ScriptError> {
    let input = &cache.transaction().input[index];
    let script_sig = input.script_sig.clone();
    let witness = input.witness.to_vec();
    let script = prevouts[index].script_pubkey.clone();
    let mut spend = Spend {
        cache,
        index,
        prevouts,
        rules,
    };

    let mut stack = Vec::new();
    spend.run(&script_sig, &mut stack, Version::Base)?;
    let pushed = stack.clone();
    spend.run(&script, &mut stack, Version::Base)?;
    expect_true(&stack)?;

    if let Some((version, program)) = witness_program(&script) {
        if !script_sig.is_empty() {
            return Err(ScriptError::WitnessMalleated);
        }
        return spend.run_program(version, &program, witness, false);
    }
    if script.is_p2sh() {
        if !script_sig.is_push_only() {
            return Err(ScriptError::SignaturePushOnly);
        }
        stack = pushed;
        let redeem_bytes = stack.pop().ok_or(ScriptError::InvalidStackOperation)?;
        let redeem = Script::from_bytes(&redeem_bytes);
        spend.run(redeem, &mut stack, Version::Base)?;
        expect_true(&stack)?;
        if let Some((version, program)) = witness_program(redeem) {
            let push = <&PushBytes>::try_from(redeem_bytes.as_slice())
                .map_err(|_| ScriptError::PushSize)?;
            let only_redeem = bitcoin::script::Builder::new()
                .push_slice(push)
                .into_script();
            if script_sig != only_redeem {
                return Err(ScriptError::WitnessMalleatedP2sh);
            }
            return spend.run_program(version, &program, witness, true);
        }
    }
    if rules == Rules::Policy && stack.len() != 1 {
        return Err(ScriptError::CleanStack);
    }
    if witness.is_empty() {
        Ok(())
    } else {
        Err(ScriptError::WitnessUnexpected)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Base,
    Witness0,
}

struct Spend<'a, 'tx> {
    cache: &'a mut SighashCache<&'tx Transaction>,
    index: usize,
    prevouts: &'a [TxOut],
    rules: Rules,
}

impl Spend<'_, '_> {
    /// `VerifyWitnessProgram`. Versions without rules yet are free to spend.
    fn run_program(
        &mut self,
        version: WitnessVersion,
        program: &[u8],
        mut stack: Vec<Vec<u8>>,
        nested: bool,
    ) -> Result<(), ScriptError> {
        match (version, program.len()) {
            (WitnessVersion::V0, 20) => {
                if stack.len() != 2 {
                    return Err(ScriptError::WitnessProgramMismatch);
                }
                let hash = <[u8; 20]>::try_from(program).expect("the length was matched");
                let hash = bitcoin::PubkeyHash::from_byte_array(hash);
                self.run_witness(&bitcoin::ScriptBuf::new_p2pkh(&hash), stack)
            }
            (WitnessVersion::V0, 32) => {
                let script = stack.pop().ok_or(ScriptError::WitnessProgramEmpty)?;
                if sha256::Hash::hash(&script).as_byte_array() != program {
                    return Err(ScriptError::WitnessProgramMismatch);
                }
                self.run_witness(Script::from_bytes(&script), stack)
            }
            (WitnessVersion::V0, _) => Err(ScriptError::WitnessProgramWrongLength),
            (WitnessVersion::V1, 32) if !nested => self.run_taproot(program, stack),
            _ => Ok(()),
        }
    }

    fn run_witness(&mut self, script: &Script, mut stack: Vec<Vec<u8>>) -> Result<(), ScriptError> {
        if stack.len() > MAX_STACK {
            return Err(ScriptError::StackSize);
        }
        if stack
            .iter()
            .any(|element| element.len() > MAX_ELEMENT_BYTES)
        {
            return Err(ScriptError::PushSize);
        }
        self.run(script, &mut stack, Version::Witness0)?;
        if stack.len() != 1 {
            return Err(ScriptError::CleanStack);
        }
        expect_true(&stack)
    }

    /// BIP 341, key path only.
    fn run_taproot(&mut self, program: &[u8], mut stack: Vec<Vec<u8>>) -> Result<(), ScriptError> {
        if stack.is_empty() {
            return Err(ScriptError::WitnessProgramEmpty);
        }
        let mut annex = None;
        if stack.len() >= 2
            && stack
                .last()
                .is_some_and(|e| e.first() == Some(&TAPROOT_ANNEX_PREFIX))
        {
            annex = stack.pop();
        }
        let [signature] = stack.as_slice() else {
            return Err(ScriptError::Unsupported);
        };
        let (signature, kind) = match signature.len() {
            64 => (signature.as_slice(), TapSighashType::Default),
            65 if signature[64] == 0 => return Err(ScriptError::SchnorrHashType),
            65 => {
                let kind = TapSighashType::from_consensus_u8(signature[64])
                    .map_err(|_| ScriptError::SchnorrHashType)?;
                (&signature[..64], kind)
            }
            _ => return Err(ScriptError::SchnorrSize),
        };
        let annex = annex
            .as_deref()
            .map(Annex::new)
            .transpose()
            .map_err(|_| ScriptError::Schnorr)?;
        let hash = self
            .cache
            .taproot_signature_hash(self.index, &Prevouts::All(self.prevouts), annex, None, kind)
            .map_err(|_| ScriptError::SchnorrHashType)?;
        let message = Message::from_digest(hash.to_byte_array());
        let key = XOnlyPublicKey::from_slice(program).map_err(|_| ScriptError::Schnorr)?;
        let signature =
            schnorr::Signature::from_slice(signature).map_err(|_| ScriptError::Schnorr)?;
        SECP.verify_schnorr(&signature, &message, &key)
            .map_err(|_| ScriptError::Schnorr)
    }

    /// `EvalScript`, for the opcodes this node knows.
    fn run(
        &mut self,
        script: &Script,
        stack: &mut Vec<Vec<u8>>,
        version: Version,
    ) -> Result<(), ScriptError> {
        if script.len() > MAX_SCRIPT_BYTES {
            return Err(ScriptError::ScriptSize);
        }
        let mut operations = 0;
        for instruction in script.instructions() {
            match instruction.map_err(|_| ScriptError::BadOpcode)? {
                Instruction::PushBytes(bytes) if bytes.len() > MAX_ELEMENT_BYTES => {
                    return Err(ScriptError::PushSize);
                }
                Instruction::PushBytes(bytes) => stack.push(bytes.as_bytes().to_vec()),
                Instruction::Op(OP_PUSHNUM_NEG1) => stack.push(vec![0x81]),
                Instruction::Op(op)
                    if (OP_PUSHNUM_1.to_u8()..=OP_PUSHNUM_16.to_u8()).contains(&op.to_u8()) =>
                {
                    stack.push(vec![op.to_u8() - OP_PUSHNUM_1.to_u8() + 1]);
                }
                Instruction::Op(op) => {
                    operations += 1;
                    if operations > MAX_OPERATIONS {
                        return Err(ScriptError::OperationCount);
                    }
                    self.operate(op, script, stack, version)?;
                }
            }
            if stack.len() > MAX_STACK {
                return Err(ScriptError::StackSize);
            }
        }
        Ok(())
    }

    fn operate(
        &mut self,
        op: bitcoin::Opcode,
        script: &Script,
        stack: &mut Vec<Vec<u8>>,
        version: Version,
    ) -> Result<(), ScriptError> {
        match op {
            OP_NOP => {}
            OP_RETURN => return Err(ScriptError::Return),
            OP_DROP => drop(pop(stack)?),
            OP_DUP => {
                let top = stack
                    .last()
                    .cloned()
                    .ok_or(ScriptError::InvalidStackOperation)?;
                stack.push(top);
            }
            OP_HASH160 => {
                let top = pop(stack)?;
                stack.push(hash160::Hash::hash(&top).as_byte_array().to_vec());
            }
            OP_VERIFY => {
                expect_operands(stack, 1)?;
                if !is_true(&pop(stack)?) {
                    return Err(ScriptError::Verify);
                }
            }
            OP_EQUAL | OP_EQUALVERIFY => {
                expect_operands(stack, 2)?;
                let equal = pop(stack)? == pop(stack)?;
                if op == OP_EQUAL {
                    push_bool(stack, equal);
                } else if !equal {
                    return Err(ScriptError::EqualVerify);
                }
            }
            OP_CHECKSIG | OP_CHECKSIGVERIFY => {
                expect_operands(stack, 2)?;
                let key = pop(stack)?;
                let signature = pop(stack)?;
                let valid = self.check_signature(&signature, &key, script, version)?;
                if op == OP_CHECKSIG {
                    push_bool(stack, valid);
                } else if !valid {
                    return Err(ScriptError::CheckSigVerify);
                }
            }
            _ => return Err(ScriptError::Unsupported),
        }
        Ok(())
    }

    fn check_signature(
        &mut self,
        signature: &[u8],
        key: &[u8],
        script: &Script,
        version: Version,
    ) -> Result<bool, ScriptError> {
        let Some((&kind, der)) = signature.split_last() else {
            return Ok(false);
        };
        if !is_strict_der(der) {
            return Err(ScriptError::SignatureDer);
        }
        let parsed = ecdsa::Signature::from_der_lax(der).ok();
        let normal = parsed.map(|signature| {
            let mut normal = signature;
            normal.normalize_s();
            normal
        });
        if self.rules == Rules::Policy && parsed != normal {
            return Err(ScriptError::SignatureHighS);
        }
        let valid = match (normal, PublicKey::from_slice(key)) {
            (Some(signature), Ok(key)) => {
                let digest = self.ecdsa_digest(script, kind, version)?;
                SECP.verify_ecdsa(&Message::from_digest(digest), &signature, &key)
                    .is_ok()
            }
            _ => false,
        };
        if !valid && self.rules == Rules::Policy {
            return Err(ScriptError::SignatureNullFail);
        }
        Ok(valid)
    }

    fn ecdsa_digest(
        &mut self,
        script: &Script,
        kind: u8,
        version: Version,
    ) -> Result<[u8; 32], ScriptError> {
        let raw = u32::from(kind);
        if version == Version::Base {
            return self
                .cache
                .legacy_signature_hash(self.index, script, raw)
                .map(|hash| hash.to_byte_array())
                .map_err(|_| ScriptError::Unsupported);
        }
        let mut signed = Vec::with_capacity(200);
        self.cache
            .segwit_v0_encode_signing_data_to(
                &mut signed,
                self.index,
                script,
                self.prevouts[self.index].value,
                EcdsaSighashType::from_consensus(raw),
            )
            .map_err(|_| ScriptError::Unsupported)?;
        // BIP 143 signs the hash type as written; the bitcoin crate writes the nearest standard one.
        let end = signed.len().saturating_sub(4);
        signed[end..].copy_from_slice(&raw.to_le_bytes());
        Ok(sha256d::Hash::hash(&signed).to_byte_array())
    }
}

/// A script that is a witness version and program (BIP 141), whatever the program's length means.
fn witness_program(script: &Script) -> Option<(WitnessVersion, Vec<u8>)> {
    Some((script.witness_version()?, script.as_bytes()[2..].to_vec()))
}

fn pop(stack: &mut Vec<Vec<u8>>) -> Result<Vec<u8>, ScriptError> {
    stack.pop().ok_or(ScriptError::InvalidStackOperation)
}

fn expect_operands(stack: &[Vec<u8>], count: usize) -> Result<(), ScriptError> {
    if stack.len() < count {
        Err(ScriptError::InvalidStackOperation)
    } else {
        Ok(())
    }
}

fn expect_true(stack: &[Vec<u8>]) -> Result<(), ScriptError> {
    if stack.last().is_some_and(|top| is_true(top)) {
        Ok(())
    } else {
        Err(ScriptError::EvalFalse)
    }
}

fn push_bool(stack: &mut Vec<Vec<u8>>, value: bool) {
    stack.push(if value { vec![1] } else { Vec::new() });
}

/// Any byte set, except the sign bit of a negative zero.
fn is_true(element: &[u8]) -> bool {
    match element.split_last() {
        Some((last, rest)) => rest.iter().any(|&byte| byte != 0) || (*last != 0 && *last != 0x80),
        None => false,
    }
}

/// BIP 66, without the hash type byte: `30 len 02 len R 02 len S`, R and S minimal and positive.
fn is_strict_der(der: &[u8]) -> bool {
    fn integer(bytes: &[u8]) -> Option<&[u8]> {
        let (&[0x02, len], rest) = bytes.split_first_chunk::<2>()? else {
            return None;
        };
        let (value, rest) = rest.split_at_checked(usize::from(len))?;
        let negative = *value.first()? & 0x80 != 0;
        let padded = value.len() > 1 && value[0] == 0 && value[1] & 0x80 == 0;
        (!negative && !padded).then_some(rest)
    }
    fn whole(der: &[u8]) -> Option<()> {
        let (&[0x30, len], body) = der.split_first_chunk::<2>()? else {
            return None;
        };
        (usize::from(len) == body.len()).then_some(())?;
        integer(integer(body)?)?.is_empty().then_some(())
    }
    (8..=72).contains(&der.len()) && whole(der).is_some()
}
