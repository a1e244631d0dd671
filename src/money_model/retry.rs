//! A block that is booked again after a crash.

use std::sync::Arc;

use bitcoin::{BlockHash, hashes::Hash as _};
use mining::{
    Amount, Coin, Scheme, Work,
    block::BlockState,
    ledger::{Account, BlockEntries},
};
use store::{BlockChange, FoundBlock, PoolId, ShareRecord, ShareRow, Store};

use super::{
    MATURITY, POOL_FEE,
    reference::{Block, Reference, Share, Way},
    running::{accounting_config, ended_after, open},
    runtime,
    world::{balances, hash_of, name_of, new_block},
};
use crate::{accounting::Accounting, clock};

/// An odd one, so that units are left over.
const REWARD: u64 = 5_000_000_001;
const HEIGHT: u32 = 7;
/// The process cannot end in fewer places of a block's booking, nor in more.
const PLACES: std::ops::Range<usize> = 10..1_000;

/// The process ends in any place while it books a block, wherever the chain takes it. Its successors
/// book it again, two of them at once, and somebody writes the same entry with other amounts.
#[test]
fn a90_a_block_that_is_booked_again_is_credited_once() {
    let ended = |waits: &usize| runtime().block_on(is_ended_amid(*waits));
    let places = (1..PLACES.end).take_while(ended).count();
    println!("ended in {places} places");
    assert!(PLACES.contains(&places), "{places}");
}

/// Whether the process had not done all before it had waited so often.
async fn is_ended_amid(waits: usize) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("pool.db").display());
    let coin: &'static Coin = "bitcoin".parse().unwrap();
    let config = accounting_config(coin, POOL_FEE);
    let accounting = |store: &Store, pool| Accounting::new(store.clone(), pool, config.clone());
    let (mut store, mut pool) = open(&url, &config).await;
    let (mut reference, hash) = found(&store, pool).await;
    let mut is_ended = false;
    for (state, confirmations) in [
        (BlockState::Immature, 1),
        (BlockState::Orphaned, 0),
        (BlockState::Immature, 1),
        (BlockState::Mature, MATURITY),
        (BlockState::Orphaned, 0),
        (BlockState::Immature, 1),
        (BlockState::Mature, MATURITY),
    ] {
        let change = BlockChange {
            state,
            confirmations,
            verdict: None,
        };
        store.change_block(pool, hash, &change).await.unwrap();
        reference.follow(|_| match confirmations {
            0 => -1,
            depth => depth.into(),
        });
        let first = accounting(&store, pool);
        is_ended |= ended_after(waits, first.look(false)).await.is_none();
        store.close().await;
        (store, pool) = open(&url, &config).await;
        let again = accounting(&store, pool);
        let (one, other) = tokio::join!(again.look(false), again.look(false));
        one.and(other).unwrap();
        again.look(true).await.unwrap();
        reference.account(clock::now_ms());
        let entries = BlockEntries {
            coin: coin.name,
            block: hash,
        };
        let all = [(Account::Miner("thief".into()), Amount::from_units(REWARD))];
        let entry = entries.credit(1, all);
        let entered = store.enter(pool, &entry, clock::now_ms()).await;
        assert_eq!(entered, Ok(false));
        assert_eq!(balances(&store, pool).await, reference.balances());
        assert!(store.check_books(pool).await.unwrap().balance());
    }
    is_ended
}

/// A block with some work before it.
async fn found(store: &Store, pool: PoolId) -> (Reference, pow::Hash) {
    let now = clock::now_ms();
    let id = BlockHash::all_zeros();
    let block = Block::new((id, HEIGHT, REWARD), Way::Pplns, 0, now);
    let shares = [(2, None), (3, None), (0, Some(id))].map(|(worker, block)| Share {
        worker,
        work: 3,
        time_ms: now,
        block,
    });
    let rows = shares.clone().map(|share| {
        let other = pow::Hash([u8::try_from(share.worker).unwrap(); 32]);
        let proof = share.block.as_ref().map_or(other, hash_of);
        let work = Work::from_hashes(share.work);
        ShareRow {
            share: ShareRecord::new(proof, work, HEIGHT, share.time_ms).unwrap(),
            worker: Arc::new(name_of(share.worker)),
            scheme: Scheme::Pplns,
        }
    });
    let found = FoundBlock {
        block: new_block(&block),
        by_coinbase: None,
    };
    store
        .append_shares_and_blocks(pool, &rows, &[&found])
        .await
        .unwrap();
    let mut reference = Reference::default();
    reference.append(Way::Pplns, shares);
    reference.blocks.push(block);
    (reference, found.block.hash)
}
