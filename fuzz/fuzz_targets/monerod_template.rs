//! Whatever monerod answers to `get_block_template`, there is a template that is its block or a refusal.
//!
//! The first byte is how long the reserve is; the rest is the body of the reply.

#![no_main]

use adit::daemon::read_monerod_template;
use libfuzzer_sys::fuzz_target;
use mining::{
    Coin,
    cryptonote::{Block, seed::seed_height},
};

fuzz_target!(|input: &[u8]| {
    let Some((reserve, body)) = input.split_first() else {
        return;
    };
    let monero: &Coin = "monero".parse().expect("it is in the table");
    let rules = monero.cryptonote().expect("it descends from CryptoNote");
    let Ok(template) = read_monerod_template(body, usize::from(*reserve), rules) else {
        return;
    };
    let bytes = template
        .block()
        .block(&vec![1; usize::from(*reserve)], [2, 3, 4, 5])
        .expect("the reserve is as long as it was asked for");
    let block = Block::parse(&bytes).expect("only the reserve and the nonce have changed");
    assert_eq!(block.nonce, [2, 3, 4, 5]);
    assert_eq!(block.miner_transaction.height, u64::from(template.height()));
    assert!(template.height() > 0);
    assert!(template.next_seed().is_none() || seed_height(u64::from(template.height()) + 64) > 0);
});
