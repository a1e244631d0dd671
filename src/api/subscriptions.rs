//! `/api/v1/miners/{address}/alert-subscriptions`: who wants to be told what, and where. Every call that
//! reads or changes one is signed by the address, as with payout settings.

use axum::{Json, http::StatusCode};
use mining::{
    alert::{Event, Kind, Kinds, Sink},
    instruction::{NUMBER_WITHIN_MS, Wish},
};
use serde::{Deserialize, Serialize};
use store::{Audience, NewAlert, NewSubscription, SubscriptionSecret};
use utoipa::ToSchema;

use super::{
    miner::{Miner, OfPool, Place},
    problem::{Body, MinerProblems, Problem, WishProblems},
    settings::{instruction, place, verified},
};
use crate::{
    alerts::{Token, facts, new_secret, place as target_place},
    clock, display,
};

/// What a miner can ask to be told in each pool.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Offers {
    /// Its address, in the form that it is kept in.
    address: String,
    /// One for each pool that knows it.
    pools: Vec<Offer>,
}

/// What a miner can ask to be told in one pool.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Offer {
    #[serde(flatten)]
    of: OfPool,
    /// The kinds of places it can be told at.
    sinks: Vec<&'static str>,
    /// What it can be told.
    kinds: Vec<&'static str>,
    /// How many subscriptions it has.
    subscriptions: u64,
    /// How many it may have.
    subscriptions_max: u32,
    /// The number of the last signed text; the next must be above it.
    last_number: Option<u64>,
    /// Texts to sign now.
    to_sign: SubscriptionToSign,
}

/// Texts to be signed with the miner's address: change the lines and send the same values.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SubscriptionToSign {
    /// The number in the texts.
    number: u64,
    /// Until when it holds.
    until: String,
    /// For a new subscription: here one to a page, to which a `target:` line is added behind `sink:` for
    /// all other places.
    subscribe: String,
    /// To see the subscriptions.
    list: String,
    /// To remove the subscription whose id takes the place of 0.
    remove: String,
}

/// A new subscription, signed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscriptionWish {
    /// The pool; may be left out where one pool alone knows the miner.
    pool: Option<String>,
    /// `page`, `webhook`, `ntfy`, `discord`, `telegram` or `email`.
    #[schema(example = "webhook")]
    sink: String,
    /// The URL, chat or mailbox; left out for a page. It is signed as it is sent.
    #[schema(example = "https://example.org/hook")]
    #[serde(default)]
    target: String,
    /// What to be told.
    #[schema(example = json!(["worker_offline", "block_found"]))]
    kinds: Vec<String>,
    /// The number in the signed text.
    number: u64,
    /// The signature of the text by the miner's address, in base64: legacy or BIP-322.
    signature: String,
}

/// A question for the subscriptions, signed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListWish {
    /// The pool; may be left out where one pool alone knows the miner.
    pool: Option<String>,
    /// The number in the signed text.
    number: u64,
    /// The signature of the text by the miner's address, in base64: legacy or BIP-322.
    signature: String,
}

/// The end of a subscription, signed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveWish {
    /// The pool; may be left out where one pool alone knows the miner.
    pool: Option<String>,
    /// The subscription's id.
    subscription: u64,
    /// The number in the signed text.
    number: u64,
    /// The signature of the text by the miner's address, in base64: legacy or BIP-322.
    signature: String,
}

/// A subscription that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Made {
    /// Its id.
    id: u64,
    /// `active`, or `unconfirmed` until its place has said that it wants alerts.
    state: &'static str,
    /// The place, in the form that it is kept in.
    target: String,
    /// What a webhook's messages are signed with, told only here; null for other places.
    secret: Option<String>,
}

/// The subscriptions of a miner in one pool.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Subscriptions {
    /// The oldest first.
    items: Vec<Subscription>,
}

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Subscription {
    /// Its id.
    id: u64,
    /// What kind of place.
    sink: &'static str,
    /// The place.
    target: String,
    /// What it is told.
    kinds: Vec<&'static str>,
    /// `active`, or `unconfirmed`.
    state: &'static str,
    /// When it was made.
    made: String,
}

/// What a miner can ask to be told
///
/// And where, with texts that are ready to be signed.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/alert-subscriptions", operation_id = "alert_offer", tag = "alerts",
    params(("address" = String, Path, description = "An address of a pool's coin")),
    responses((status = 200, description = "The answer.", body = Offers), MinerProblems)
)]
pub(super) async fn show(miner: Miner) -> Result<Json<Offers>, Problem> {
    let mut pools = Vec::new();
    for place in &miner.places {
        pools.push(Offer::of(place).await?);
    }
    Ok(Json(Offers {
        address: miner.address,
        pools,
    }))
}

/// Ask to be told
///
/// Signed by the miner's address. A mailbox is asked first whether it wants that.
#[utoipa::path(
    post, path = "/api/v1/miners/{address}/alert-subscriptions", operation_id = "subscribe_alerts", tag = "alerts",
    params(("address" = String, Path, description = "The address that signed")),
    request_body = SubscriptionWish,
    responses((status = 201, description = "It is made.", body = Made), WishProblems)
)]
pub(super) async fn subscribe(
    miner: Miner,
    Body(wish): Body<SubscriptionWish>,
) -> Result<(StatusCode, Json<Made>), Problem> {
    let place = place(&miner, wish.pool.as_deref())?;
    let Place { pool, address, .. } = place;
    let terms = &pool.alerts;
    let sink = Sink::of_name(&wish.sink).filter(|sink| terms.sinks.contains(sink));
    let sink = sink.ok_or_else(|| {
        let names: Vec<_> = terms.sinks.iter().map(|sink| sink.name()).collect();
        Problem::field("bad_sink", format!("sink: one of {}", names.join(", ")))
    })?;
    let target = target_place::parse(sink, &wish.target, &terms.reach)
        .map_err(|error| Problem::field("bad_target", error.to_string()))?;
    let kinds = kinds(&wish.kinds)?;
    let now = clock::now_ms();
    let signed = Wish::Subscribe {
        sink,
        target: &wish.target,
        kinds,
    };
    verified(place, signed, wish.number, &wish.signature, now).await?;
    let secret = SubscriptionSecret(new_secret());
    let new = NewSubscription {
        sink,
        target_digest: target_place::digest(sink, &target),
        target,
        kinds,
        secret: secret.clone(),
    };
    let (text, page) = (address.as_str(), terms.page.as_deref());
    let ask = |id| {
        let page = page.filter(|_| sink.is_confirmed_first())?;
        let event = Event::Confirmation {
            address: text.to_owned(),
            link: Token::Confirm.link(page, id, &secret),
        };
        Some(NewAlert {
            facts: facts(&event),
            audience: Audience::Subscription(id),
            event,
        })
    };
    let id = pool
        .store
        .subscribe(pool.id, text, &new, terms.limits, wish.number, ask, now)
        .await?;
    tracing::info!(
        pool = pool.name,
        address = text,
        subscription = id,
        "alerts subscribed"
    );
    let made = Made {
        id,
        state: state(!sink.is_confirmed_first()),
        target: new.target,
        secret: (sink == Sink::Webhook).then(|| hex::encode(secret.0)),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// The subscriptions of a miner
///
/// Signed by its address: where it is told is its own business.
#[utoipa::path(
    post, path = "/api/v1/miners/{address}/alert-subscriptions/list", operation_id = "list_alert_subscriptions", tag = "alerts",
    params(("address" = String, Path, description = "The address that signed")),
    request_body = ListWish,
    responses((status = 200, description = "The answer.", body = Subscriptions), WishProblems)
)]
pub(super) async fn list(
    miner: Miner,
    Body(wish): Body<ListWish>,
) -> Result<Json<Subscriptions>, Problem> {
    let place = place(&miner, wish.pool.as_deref())?;
    let Place { pool, address, .. } = place;
    let now = clock::now_ms();
    let signed = Wish::ListSubscriptions;
    verified(place, signed, wish.number, &wish.signature, now).await?;
    let found = pool
        .store
        .list_subscriptions(pool.id, address.as_str(), wish.number, now)
        .await?;
    let subscription = |found: store::Subscription| Subscription {
        id: found.id,
        sink: found.sink.name(),
        target: found.target,
        kinds: names(found.kinds),
        state: state(found.active),
        made: display::time(found.made_ms),
    };
    Ok(Json(Subscriptions {
        items: found.into_iter().map(subscription).collect(),
    }))
}

/// Ask to be told no more
///
/// Signed by the miner's address.
#[utoipa::path(
    post, path = "/api/v1/miners/{address}/alert-subscriptions/remove", operation_id = "remove_alert_subscription", tag = "alerts",
    params(("address" = String, Path, description = "The address that signed")),
    request_body = RemoveWish,
    responses((status = 204, description = "It is gone."), WishProblems)
)]
pub(super) async fn remove(
    miner: Miner,
    Body(wish): Body<RemoveWish>,
) -> Result<StatusCode, Problem> {
    let place = place(&miner, wish.pool.as_deref())?;
    let Place { pool, address, .. } = place;
    let now = clock::now_ms();
    let signed = Wish::Unsubscribe(wish.subscription);
    verified(place, signed, wish.number, &wish.signature, now).await?;
    let id = wish.subscription;
    let store = &pool.store;
    let removed = store.remove_subscription(pool.id, address.as_str(), id, wish.number, now);
    if removed.await? {
        tracing::info!(pool = pool.name, %address, subscription = id, "alerts unsubscribed");
        Ok(StatusCode::NO_CONTENT)
    } else {
        let message = "this address has no such subscription";
        Err(Problem::unknown("unknown_subscription", message))
    }
}

impl Offer {
    async fn of(place: &Place) -> Result<Self, Problem> {
        let Place {
            pool,
            address,
            account,
        } = place;
        let terms = &pool.alerts;
        let last = pool.store.payout_settings(pool.id, account).await?.number;
        let count = pool.store.count_subscriptions(pool.id, address.as_str());
        let now = u64::try_from(clock::now_ms()).unwrap_or(0);
        let number = now.max(last.saturating_add(1));
        let until = number.saturating_add(NUMBER_WITHIN_MS);
        let text = |wish| instruction(place, wish, number).to_string();
        Ok(Self {
            of: OfPool::new(pool),
            sinks: terms.sinks.iter().map(|sink| sink.name()).collect(),
            kinds: names(Kinds::of_miners()),
            subscriptions: count.await?,
            subscriptions_max: terms.limits.of_address,
            last_number: Some(last).filter(|number| *number > 0),
            to_sign: SubscriptionToSign {
                number,
                until: display::time(i64::try_from(until).unwrap_or(i64::MAX)),
                subscribe: text(Wish::Subscribe {
                    sink: Sink::Page,
                    target: "",
                    kinds: Kinds::of_miners(),
                }),
                list: text(Wish::ListSubscriptions),
                remove: text(Wish::Unsubscribe(0)),
            },
        })
    }
}

/// What was asked for, in whatever order. The signed text has them in the order of the list.
fn kinds(texts: &[String]) -> Result<Kinds, Problem> {
    let all = Kinds::of_miners();
    let kind = |text: &String| Kind::of_name(text).filter(|kind| all.contains(*kind));
    let kinds: Option<Kinds> = texts.iter().map(kind).collect();
    let kinds = kinds.filter(|kinds| !kinds.is_empty());
    kinds.ok_or_else(|| Problem::field("bad_kinds", format!("kinds: one or more of {all}")))
}

fn names(kinds: Kinds) -> Vec<&'static str> {
    kinds.iter().map(Kind::name).collect()
}

fn state(active: bool) -> &'static str {
    if active { "active" } else { "unconfirmed" }
}
