//! Blocks and payouts that went on: what they are told of, and to whom.

use mining::{
    Amount, Scheme,
    alert::{Event, Kind, Phase, progress},
    block::BlockState,
};
use store::{Audience, BlockNews, BlockSeen, ConditionChange, PayoutNews, PayoutSeen, Seen};

use super::{
    alert,
    troubles::{Key, Troubles},
};
use crate::pool::Pool;

/// Blocks, and payouts, that one look takes.
const NEWS_MAX: u32 = 50;

pub(super) async fn look(
    pool: &Pool,
    troubles: &mut Troubles,
    seen: &mut Seen,
    now_ms: i64,
) -> anyhow::Result<()> {
    let blocks = pool.store.block_news(pool.id, NEWS_MAX).await?;
    let payouts = pool.store.payout_news(pool.id, NEWS_MAX).await?;
    for news in blocks {
        block(pool, &news, seen);
    }
    for news in payouts {
        payout(pool, &news, troubles, seen, now_ms);
    }
    Ok(())
}

/// A block that many are paid by is news for all; another one, for its finder.
fn block(pool: &Pool, news: &BlockNews, seen: &mut Seen) {
    let found = &news.block.found;
    let audiences = match found.scheme {
        Scheme::Pplns | Scheme::Prop => vec![Audience::Pool],
        Scheme::Solo | Scheme::Pps | Scheme::Fpps => {
            let finder = found.worker.address().to_owned();
            vec![Audience::Miner(finder), Audience::Operator]
        }
    };
    for (kind, phase) in progress::of_block(news.before, news.block.state) {
        let event = Event::Block {
            kind,
            phase,
            height: found.height,
            hash: found.hash.to_string(),
            reward: money(pool, found.reward),
        };
        for audience in &audiences {
            if phase == Phase::Over {
                seen.conditions.push(ConditionChange::Ends {
                    kind,
                    address: match audience {
                        Audience::Miner(address) => address.clone(),
                        _ => String::new(),
                    },
                    subject: event.subject(),
                });
            }
            seen.alerts.push(alert(audience.clone(), event.clone()));
        }
    }
    let state: BlockState = news.block.state;
    seen.blocks.push(BlockSeen {
        seq: news.block.seq,
        state,
    });
}

/// A payout is news for whoever is paid by it, one by one. One that fails again and again is told of
/// once, until one has gone out.
fn payout(pool: &Pool, news: &PayoutNews, troubles: &mut Troubles, seen: &mut Seen, now_ms: i64) {
    let (kinds, told) = progress::of_payout(news.told, news.state);
    let txid = news.txid.map(|txid| txid.to_string());
    for kind in kinds {
        if kind == Kind::PayoutSent {
            let event = Event::Payout {
                payout: news.number,
                amount: money(pool, news.total),
                payments: news.payments,
                txid: txid.clone(),
            };
            seen.alerts.push(alert(Audience::Operator, event));
        }
        for (address, amount) in &news.to_subscribers {
            let failing = Key::new(Kind::PayoutFailed, address, "");
            match kind {
                Kind::PayoutSent => troubles.end(&failing, seen),
                Kind::PayoutFailed if troubles.since_ms(&failing).is_some() => continue,
                Kind::PayoutFailed => troubles.set(failing, String::new(), now_ms, seen),
                _ => {}
            }
            let event = Event::Payment {
                kind,
                amount: money(pool, *amount),
                payout: news.number,
                txid: txid.clone(),
                // What stands in the way is the operator's to know.
                reason: String::new(),
            };
            seen.alerts
                .push(alert(Audience::Miner(address.clone()), event));
        }
    }
    seen.payouts.push(PayoutSeen {
        number: news.number,
        state: news.state,
        told,
    });
}

fn money(pool: &Pool, amount: Amount) -> String {
    format!(
        "{} {}",
        amount.in_coins(pool.coin.decimals),
        pool.coin.ticker
    )
}
