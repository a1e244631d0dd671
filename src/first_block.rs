//! The chain of a pool's database. Shares and money of one chain are never booked into the database
//! of another, and on networks for tests nothing but the first block tells two chains apart.
//!
//! Started by `pool` before the first job.

use std::time::Duration;

use store::{GenesisError, PoolId, Store};
use tracing::{error, warn};

use crate::{
    daemon::{Daemons, FirstBlock},
    tasks::{Stage, Tasks},
};

/// How often a database that is locked is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Compares the daemons' chain with that of the database before the first job. Where it is another
/// one, the database wins: a daemon of its chain is waited for.
pub fn confirm(first: FirstBlock, daemons: Daemons, store: Store, pool: PoolId, tasks: &Tasks) {
    let ending = tasks.ending(Stage::Daemons);
    tasks.spawn(Stage::Daemons, "first block", async move {
        let confirm = async {
            let found = first.found().await;
            let ours = loop {
                match store.stamp_genesis(pool, found).await {
                    Ok(()) => break found,
                    Err(GenesisError::OtherChain { stamped }) => {
                        error!(
                            %found,
                            %stamped,
                            "the database is of another chain than the daemon: no work until the \
                             daemon is of this chain, or `data` or the pool's name is another one"
                        );
                        break stamped;
                    }
                    Err(GenesisError::Write(error)) => {
                        warn!(%error, "the chain of the database cannot be compared yet");
                        tokio::time::sleep(AGAIN_AFTER).await;
                    }
                }
            };
            first.confirm(ours);
            daemons.poke();
        };
        ending.run_until_cancelled(confirm).await;
        Ok(())
    });
}
