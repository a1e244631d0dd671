//! Sends what is in the outbox: one task for each kind of place, so that one which is down is waited for
//! by nobody else. A copy that does not get through is tried again, later each time, and at last given
//! up. What was sent in the instant in which the process ended is sent again.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use mining::alert::{Sink, retry};
use store::{Delivery, Store};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::sender::{SendError, Sender};
use crate::{
    clock,
    tasks::{Stage, Tasks},
};

/// How often the outbox is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Copies of one kind of place that are on their way at once, each to another place.
const AT_ONCE: usize = 16;
/// How long those that are on their way are waited for at the end.
const LAST_WITHIN: Duration = Duration::from_secs(5);

/// What became of a copy.
type Sent = (Delivery, Result<(), SendError>);

/// Starts to send to all kinds of places but pages.
pub(super) fn start(store: &Store, sender: &Arc<Sender>, tasks: &Tasks) {
    for sink in Sink::ALL.into_iter().filter(|sink| *sink != Sink::Page) {
        let outbox = Outbox {
            store: store.clone(),
            sender: Arc::clone(sender),
            sink,
        };
        let ending = tasks.ending(Stage::Books);
        tasks.spawn(Stage::Books, sink.name(), outbox.run(ending));
    }
}

struct Outbox {
    store: Store,
    sender: Arc<Sender>,
    sink: Sink,
}

impl Outbox {
    async fn run(self, ending: CancellationToken) -> anyhow::Result<()> {
        let mut under_way = FuturesUnordered::new();
        let mut places: HashSet<u64> = HashSet::new();
        loop {
            let due = self.due(&places).await;
            for delivery in due {
                places.insert(delivery.subscription.id);
                under_way.push(self.send(delivery));
            }
            tokio::select! {
                Some(sent) = under_way.next() => self.note(sent, &mut places).await,
                () = sleep(LOOK_EVERY) => {}
                () = ending.cancelled() => break,
            }
        }
        let last = async {
            while let Some(sent) = under_way.next().await {
                self.note(sent, &mut places).await;
            }
        };
        // What is not done by then is sent again by the next run.
        let _ = timeout(LAST_WITHIN, last).await;
        Ok(())
    }

    /// What can be sent now, and goes to none of these places.
    async fn due(&self, places: &HashSet<u64>) -> Vec<Delivery> {
        let free = AT_ONCE - places.len().min(AT_ONCE);
        if free == 0 {
            return Vec::new();
        }
        // Those that are on their way are still the first of their places.
        let limit = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
        match self
            .store
            .due_deliveries(self.sink, clock::now_ms(), limit)
            .await
        {
            Ok(mut due) => {
                due.retain(|delivery| !places.contains(&delivery.subscription.id));
                due.truncate(free);
                due
            }
            Err(error) => {
                warn!(sink = self.sink.name(), %error, "the outbox cannot be read");
                Vec::new()
            }
        }
    }

    async fn send(&self, delivery: Delivery) -> Sent {
        let sent = self.sender.send(&delivery).await;
        (delivery, sent)
    }

    /// Writes down what became of a copy. Where that fails it is sent again.
    async fn note(&self, (delivery, sent): Sent, places: &mut HashSet<u64>) {
        places.remove(&delivery.subscription.id);
        let (sink, alert) = (self.sink.name(), delivery.alert.id);
        let now_ms = clock::now_ms();
        let noted = match sent {
            Ok(()) => {
                debug!(sink, alert, "alert sent");
                self.store.delivered(delivery.id, now_ms).await
            }
            Err(error) => {
                let attempts = delivery.attempts.saturating_add(1);
                let chance = bitcoin::secp256k1::rand::random();
                let next_ms = retry::next_ms(attempts, delivery.made_ms, now_ms, chance);
                let subscription = delivery.subscription.id;
                if next_ms.is_none() {
                    info!(sink, alert, subscription, attempts, %error, "an alert is given up");
                } else {
                    debug!(sink, alert, subscription, attempts, %error, "an alert did not get through");
                }
                let error = error.to_string();
                self.store
                    .delivery_failed(delivery.id, &error, next_ms, now_ms)
                    .await
            }
        };
        if let Err(error) = noted {
            warn!(sink, alert, %error, "what became of an alert cannot be written");
        }
    }
}
