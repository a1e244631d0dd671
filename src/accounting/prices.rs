//! What a block is expected to pay and take, kept by height as templates come: the prices of shares.
//! In every pool, so that a scheme that pays for shares finds the fees of the last blocks there.

use std::collections::BTreeMap;

use mining::accounting::ExpectedBlock;
use store::{PoolId, Store, WriteError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::LOOK_EVERY;
use crate::template_feed::Newest;

/// Heights that wait for a database that cannot be written: a week of Bitcoin's. No share of them is
/// accepted meanwhile, as none is stored.
const UNWRITTEN_MAX: usize = 1_000;

/// Writes down the price of each height until the end.
pub(super) async fn keep(
    mut newest: watch::Receiver<Newest>,
    store: Store,
    pool: PoolId,
    ending: CancellationToken,
) -> anyhow::Result<()> {
    let mut prices = Prices::default();
    let mut outage = false;
    loop {
        if let Newest::Offer(offer) = &*newest.borrow_and_update() {
            match ExpectedBlock::of(&offer.template) {
                Some(expected) => prices.add(expected),
                None => warn!(
                    height = offer.template.height(),
                    "fees above what a block pays"
                ),
            }
        }
        match prices.write(&store, pool).await {
            Ok(()) => outage = false,
            // They wait, and so do the shares of their heights.
            Err(cause) if !outage => {
                outage = true;
                error!(%cause, "prices of shares are not written");
            }
            Err(_) => {}
        }
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return Ok(()) },
            () = tokio::time::sleep(LOOK_EVERY), if outage => {}
            () = ending.cancelled() => return Ok(()),
        }
    }
}

/// Prices on their way into the database.
#[derive(Default)]
struct Prices {
    unwritten: BTreeMap<u32, ExpectedBlock>,
    written: Option<ExpectedBlock>,
}

impl Prices {
    /// Of a height that waits already, the first stays but for its fees, as in the database.
    fn add(&mut self, expected: ExpectedBlock) {
        if self.written == Some(expected) {
            return;
        }
        let waiting = self.unwritten.entry(expected.height).or_insert(expected);
        waiting.fees = expected.fees.or(waiting.fees);
        if self.unwritten.len() > UNWRITTEN_MAX {
            self.unwritten.pop_first();
        }
    }

    async fn write(&mut self, store: &Store, pool: PoolId) -> Result<(), WriteError> {
        while let Some(entry) = self.unwritten.first_entry() {
            store.note_price(pool, entry.get()).await?;
            self.written = Some(entry.remove());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mining::{Amount, NetworkDifficulty};

    use super::*;

    fn expected(height: u32, bits: u32, fees: Option<u64>) -> ExpectedBlock {
        ExpectedBlock {
            height,
            network: NetworkDifficulty::Bits(bits),
            subsidy: Amount::from_units(50),
            fees: fees.map(Amount::from_units),
        }
    }

    #[test]
    fn what_waits_for_the_database_is_merged_as_the_database_would() {
        let mut prices = Prices::default();
        for (bits, fees, kept) in [
            (1, None, None),
            (2, Some(5), Some(5)),
            (1, None, Some(5)),
            (1, Some(4), Some(4)),
        ] {
            prices.add(expected(100, bits, fees));
            let waiting: Vec<_> = prices.unwritten.values().copied().collect();
            assert_eq!(waiting, [expected(100, 1, kept)]);
        }
        // What was written last is not written again.
        prices.written = Some(expected(101, 1, Some(3)));
        prices.add(expected(101, 1, Some(3)));
        assert_eq!(prices.unwritten.len(), 1);
        for height in 200..2_000 {
            prices.add(expected(height, 1, None));
        }
        assert_eq!(prices.unwritten.len(), UNWRITTEN_MAX);
        assert!(prices.unwritten.contains_key(&1_999), "the oldest go");
    }
}
