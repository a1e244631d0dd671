//! Whatever a daemon gives as a block of Monero's, there is a template that rebuilds it byte by byte or a
//! refusal.
//!
//! The first two bytes are where the reserve is said to be and how long; the rest is the block.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mining::cryptonote::{
    Block, BlockTemplate,
    block::{hashing_blob_of, id_of},
    template::Announced,
};

fuzz_target!(|input: &[u8]| {
    let [offset, len, bytes @ ..] = input else {
        return;
    };
    let (offset, len) = (usize::from(*offset), usize::from(*len));
    let (Ok(block), Ok(hashing_blob)) = (Block::parse(bytes), hashing_blob_of(bytes)) else {
        return;
    };
    let announced = Announced {
        block: bytes,
        hashing_blob: &hashing_blob,
        reserved_offset: offset,
        reserve_len: len,
        height: block.miner_transaction.height,
        previous: block.previous,
        reward: block.miner_transaction.reward,
    };
    let Ok(template) = BlockTemplate::new(&announced) else {
        return;
    };
    let reserve = &bytes[offset..offset + len];
    assert_eq!(template.block(reserve, block.nonce).as_deref(), Ok(bytes));
    assert_eq!(template.id(reserve, block.nonce).ok(), id_of(bytes).ok());
});
