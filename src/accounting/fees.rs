//! The fees of a round: those that held when it began. Of the rounds that are open they are kept for whoever asks
//! (`src/work.rs`), and read anew when a block may have ended one.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::Context as _;
use mining::{
    Scheme,
    accounting::{Fees, Position},
};

use store::{PoolId, Store};

use super::Accounting;

/// The fees of what is mined now, by scheme. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FeesNow(Arc<RwLock<BTreeMap<&'static str, Fees>>>);

impl FeesNow {
    /// Of a scheme; nothing if a block of it pays its finder alone, or no listener has it.
    pub fn of(&self, scheme: Scheme) -> Option<Fees> {
        self.read().get(scheme.name()).cloned()
    }

    fn read(&self) -> BTreeMap<&'static str, Fees> {
        let fees = self.0.read();
        fees.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The fees of shares of this height that are paid for as they come.
pub(super) async fn at_height(
    store: &Store,
    pool: PoolId,
    scheme: Scheme,
    height: u32,
) -> anyhow::Result<Fees> {
    let fees = store.fees_at_height(pool, scheme, height).await?;
    fees.context("no fees were noted")
}

impl Accounting {
    /// The fees of the round that begins with this share.
    pub(super) async fn fees(&self, scheme: Scheme, start: Position) -> anyhow::Result<Fees> {
        let fees = self.store.fees_of_round(self.pool, scheme, start).await?;
        fees.context("no fees were noted")
    }

    /// Keeps the fees of what is mined now for others.
    pub(crate) async fn tell_fees(&self, now: &FeesNow) -> anyhow::Result<()> {
        let mut told = BTreeMap::new();
        let before = now.read();
        for scheme in &self.config.schemes {
            let fees = match scheme {
                Scheme::Solo => continue,
                // Of the next height they are, if not of this one.
                Scheme::Pps | Scheme::Fpps => {
                    at_height(&self.store, self.pool, *scheme, u32::MAX).await?
                }
                Scheme::Pplns | Scheme::Prop => {
                    let start = self.store.open_round(self.pool, scheme.name()).await?;
                    match (start, before.get(scheme.name())) {
                        (Some(start), _) => self.fees(*scheme, start).await?,
                        // Where the open round begins is not known for a while.
                        (None, Some(fees)) => fees.clone(),
                        (None, None) => self.fees(*scheme, Position::END).await?,
                    }
                }
            };
            told.insert(scheme.name(), fees);
        }
        *now.0.write().unwrap_or_else(PoisonError::into_inner) = told;
        Ok(())
    }
}
