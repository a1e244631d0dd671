//! Blocks from their submission to their end.

use mining::{Amount, NetworkDifficulty, Scheme, accounting::ExpectedBlock, block::BlockState};
use store::{BlockChange, BlockCounts, BlockError, NewBlock, WorkerName};

use super::{Place, contract, hash};
use BlockState::{Immature, Mature, Orphaned, Submitted};

contract!(
    a_block_is_recorded_once,
    how_hard_a_block_was_is_kept_as_its_chain_has_it,
    only_legal_changes_are_written,
    mature_blocks_are_listed_until_they_are_deep,
    lists_are_paged_newest_first,
);

fn block(number: u64) -> NewBlock {
    NewBlock {
        hash: hash(number),
        proof: hash(number),
        height: 800_000,
        worker: WorkerName::new("bcrt1qfinder", "rig").unwrap(),
        network: NetworkDifficulty::Bits(0x1702_f128),
        time: u32::MAX,
        found_ms: 1_800_000_000_000,
        reward: Amount::from_units(312_500_000),
        coinbase: Some(hash(number + 1000)),
        scheme: Scheme::Pplns,
    }
}

fn change(state: BlockState, confirmations: u32) -> BlockChange {
    BlockChange {
        state,
        confirmations,
        verdict: None,
    }
}

async fn a_block_is_recorded_once(place: Place) {
    let (store, pool) = place.pool().await;
    assert!(store.record_block(pool, &block(1)).await.unwrap());
    store
        .change_block(pool, hash(1), &change(Immature, 2))
        .await
        .unwrap();
    assert!(!store.record_block(pool, &block(1)).await.unwrap());
    let stored = place
        .open()
        .await
        .block(pool, hash(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.found, block(1));
    assert_eq!(
        (stored.state, stored.confirmations, stored.verdict),
        (Immature, 2, None)
    );
    assert_eq!(store.block(pool, hash(2)).await.unwrap(), None);
    let unpayable = NewBlock {
        reward: Amount::from_units(1 << 63),
        ..block(3)
    };
    let refused = store.record_block(pool, &unpayable).await;
    assert_eq!(refused, Err(BlockError::Reward(unpayable.reward)));
    // A worker that has only found a block has no share yet.
    let workers = store.workers(pool, None, &[], None, 10).await.unwrap();
    assert_eq!((workers.len(), workers[0].total.shares), (1, 0));
}

async fn how_hard_a_block_was_is_kept_as_its_chain_has_it(place: Place) {
    let (store, pool) = place.pool().await;
    let hashes = |number: u64| NetworkDifficulty::Hashes(number.try_into().unwrap());
    let most = hashes((1 << 63) - 1);
    for (number, network) in [(1, hashes(1)), (2, hashes(612_345_678_901)), (3, most)] {
        let block = NewBlock {
            network,
            coinbase: None,
            ..block(number)
        };
        assert!(store.record_block(pool, &block).await.unwrap());
        let stored = store.block(pool, hash(number)).await.unwrap().unwrap();
        assert_eq!(stored.found, block);
        // And what is expected of a block that is not found yet.
        let expected = ExpectedBlock {
            height: u32::try_from(number).unwrap(),
            network,
            subsidy: Amount::from_units(600_000_000_000),
            fees: Some(Amount::ZERO),
        };
        store.note_price(pool, &expected).await.unwrap();
        let kept = store.expected_block(pool, expected.height).await.unwrap();
        assert_eq!(kept, Some(expected));
    }
    let too_many = NewBlock {
        network: hashes(1 << 63),
        ..block(4)
    };
    assert!(store.record_block(pool, &too_many).await.is_err());
}

async fn only_legal_changes_are_written(place: Place) {
    let (store, pool) = place.pool().await;
    let all = [Submitted, Immature, Mature, Orphaned];
    let legal = |from: BlockState| -> &[BlockState] {
        match from {
            Submitted => &all,
            Immature => &[Immature, Mature, Orphaned],
            Mature => &[Mature, Orphaned],
            Orphaned => &[Orphaned, Immature],
        }
    };
    let mut number = 0;
    for from in all {
        for to in all {
            number += 1;
            store.record_block(pool, &block(number)).await.unwrap();
            store
                .change_block(pool, hash(number), &change(from, 1))
                .await
                .unwrap();
            let result = store.change_block(pool, hash(number), &change(to, 9)).await;
            let stored = store.block(pool, hash(number)).await.unwrap().unwrap();
            if legal(from).contains(&to) {
                assert_eq!(result, Ok(from));
                assert_eq!((stored.state, stored.confirmations), (to, 9));
            } else {
                assert_eq!(result, Err(BlockError::Illegal { from, to }));
                assert_eq!((stored.state, stored.confirmations), (from, 1));
            }
        }
    }
    let unknown = store
        .change_block(pool, hash(999), &change(Mature, 1))
        .await;
    assert_eq!(unknown, Err(BlockError::Unknown(hash(999))));
    let verdict = |text: &str| BlockChange {
        state: Orphaned,
        confirmations: 0,
        verdict: Some(text.to_owned()),
    };
    store.record_block(pool, &block(500)).await.unwrap();
    for (said, kept) in [
        ("inconclusive", "inconclusive"),
        ("high\0-hash", "high-hash"),
    ] {
        store
            .change_block(pool, hash(500), &verdict(said))
            .await
            .unwrap();
        store
            .change_block(pool, hash(500), &change(Orphaned, 0))
            .await
            .unwrap();
        let stored = store.block(pool, hash(500)).await.unwrap().unwrap();
        assert_eq!(stored.verdict.as_deref(), Some(kept));
    }
    store
        .change_block(pool, hash(500), &verdict(&"é".repeat(5000)))
        .await
        .unwrap();
}

async fn mature_blocks_are_listed_until_they_are_deep(place: Place) {
    let (store, pool) = place.pool().await;
    for (number, state, confirmations) in [
        (1, Mature, 100),
        (2, Mature, 299),
        (3, Mature, 300),
        (4, Immature, 99),
        (5, Orphaned, 0),
        (6, Mature, 100),
    ] {
        store.record_block(pool, &block(number)).await.unwrap();
        store
            .change_block(pool, hash(number), &change(state, confirmations))
            .await
            .unwrap();
    }
    let listed = async |below, limit| -> Vec<_> {
        let blocks = store.mature_blocks(pool, below, limit).await.unwrap();
        blocks.into_iter().map(|block| block.found.hash).collect()
    };
    assert_eq!(listed(300, 10).await, [6, 2, 1].map(hash));
    assert_eq!(listed(300, 2).await, [6, 2].map(hash));
    assert_eq!(listed(100, 10).await, []);
}

async fn lists_are_paged_newest_first(place: Place) {
    let (store, pool) = place.pool().await;
    for number in 0..25 {
        store.record_block(pool, &block(number)).await.unwrap();
    }
    for (number, state) in [(3, Mature), (4, Orphaned), (5, Immature)] {
        store
            .change_block(pool, hash(number), &change(state, 1))
            .await
            .unwrap();
    }
    let mut listed = Vec::new();
    let mut before = None;
    loop {
        let page = store.blocks(pool, before, 10).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.seq);
        listed.extend(page.into_iter().map(|block| block.found.hash));
    }
    assert_eq!(listed, (0..25).rev().map(hash).collect::<Vec<_>>());
    let counts = BlockCounts {
        submitted: 22,
        immature: 1,
        mature: 1,
        orphaned: 1,
    };
    assert_eq!(store.block_counts(pool).await.unwrap(), counts);
    let open = store.open_blocks(pool).await.unwrap();
    assert_eq!(open.len(), 23);
    assert_eq!(open[0].found.hash, hash(0));
    assert!(
        open.iter()
            .all(|block| matches!(block.state, Submitted | Immature))
    );
}
