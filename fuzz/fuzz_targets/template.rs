//! Whatever a daemon answers to `getblocktemplate`, there is a template that adds up or a refusal.
//!
//! The first byte picks the coin and the network; the rest is the body of the reply.

#![no_main]

use adit::daemon::read_template;
use libfuzzer_sys::fuzz_target;
use mining::{Coin, Network};

const COINS: [&str; 3] = ["bitcoin", "litecoin", "dogecoin"];
const NETWORKS: [Network; 2] = [Network::Main, Network::Signet];

fuzz_target!(|input: &[u8]| {
    let Some((pick, body)) = input.split_first() else {
        return;
    };
    let coin: &Coin = COINS[usize::from(*pick) % 3]
        .parse()
        .expect("it is in the table");
    let network = NETWORKS[usize::from(*pick) / 3 % 2];
    let Ok(template) = read_template(body, coin, network) else {
        return;
    };
    assert!(template.fees <= template.value);
    assert!(template.height > 0 && i32::try_from(template.height).is_ok());
    assert!(template.time >= template.min_time);
    assert!(mining::Target::from_compact(template.bits).is_ok_and(|bits| template.target <= bits));
    let transactions = template.transactions.hex();
    assert!(transactions.len().is_multiple_of(2));
    assert!(transactions.bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert!(template.tail.is_empty() || template.tail.starts_with("01"));
});
