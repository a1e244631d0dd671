//! Alerts: what was seen is told once, whoever asked for it gets a copy and nobody else, and copies go
//! out in order until they have got through or are given up.

use mining::{
    Amount, Network, NetworkDifficulty, Scheme,
    alert::{Event, Kind, Kinds, Phase, Sink, progress::Told},
    block::BlockState,
    ledger::{Account, Entry, Transfer},
    payout::BatchState,
};
use store::{
    Audience, BlockChange, BlockSeen, ConditionChange, KnownCondition, Minute, NewAlert, NewBlock,
    NewSubscription, PayoutSeen, PoolId, Seen, SettingsError, Store, SubscribeError,
    SubscriptionLimits, SubscriptionSecret,
};

use super::{Place, bitcoin, contract, hash, share_at, trouble::execute, worker};

contract!(
    a_subscription_is_made_listed_and_removed_with_a_number_each,
    an_address_has_only_so_many_subscriptions,
    a_mailbox_is_asked_first_and_not_often,
    a_copy_goes_to_whoever_asked_for_it,
    a_trouble_and_its_end_go_to_the_same_places,
    no_subscriber_is_told_too_much,
    copies_of_a_place_go_one_after_the_other,
    what_is_given_up_is_kept_and_can_be_sent_again,
    a_block_is_news_until_it_was_looked_at,
    a_payout_is_news_until_it_was_looked_at,
    what_was_seen_is_written_whole_or_not_at_all,
    figures_are_of_subscribers_alone,
    what_is_old_is_forgotten,
    the_operator_s_places_are_those_of_the_configuration,
    what_there_was_before_is_no_news,
);

const NOW: i64 = 1_800_000_000_000;
const HOUR: i64 = 60 * 60 * 1000;
const MINER: &str = "bcrt1qminer";
const OTHER: &str = "bcrt1qother";
const LIMITS: SubscriptionLimits = SubscriptionLimits {
    of_address: 3,
    of_pool: 10,
    an_hour: 100,
};

fn place_of(sink: Sink, target: &str, kinds: &[Kind]) -> NewSubscription {
    let mut digest = [0; 32];
    for (place, byte) in digest.iter_mut().zip(target.bytes()) {
        *place = byte;
    }
    NewSubscription {
        sink,
        target: target.into(),
        target_digest: digest,
        kinds: kinds.iter().copied().collect(),
        secret: SubscriptionSecret([7; 32]),
    }
}

fn hook(target: &str) -> NewSubscription {
    let kinds: Vec<Kind> = Kinds::of_miners().iter().collect();
    place_of(Sink::Webhook, target, &kinds)
}

/// Subscribes with a number of this time.
async fn subscribe(
    store: &Store,
    pool: PoolId,
    address: &str,
    new: &NewSubscription,
    now_ms: i64,
) -> Result<u64, SubscribeError> {
    let number = now_ms.unsigned_abs();
    store
        .subscribe(pool, address, new, LIMITS, number, |_| None, now_ms)
        .await
}

fn offline(worker: &str) -> Event {
    Event::WorkerOffline {
        worker: worker.into(),
        minutes: 10,
    }
}

fn back(worker: &str) -> Event {
    Event::WorkerBack {
        worker: worker.into(),
        minutes: 10,
    }
}

fn found(height: u32) -> Event {
    Event::Block {
        kind: Kind::BlockFound,
        phase: Phase::Once,
        height,
        hash: height.to_string(),
        reward: "50 BTC".into(),
    }
}

fn disk() -> Event {
    Event::Pool {
        kind: Kind::DiskLow,
        phase: Phase::Once,
        subject: String::new(),
        detail: "1 MB is free".into(),
    }
}

fn new(audience: Audience, event: Event) -> NewAlert {
    NewAlert {
        audience,
        event,
        facts: "{}".into(),
    }
}

fn to(address: &str) -> Audience {
    Audience::Miner(address.into())
}

fn seen(alerts: Vec<NewAlert>) -> Seen {
    Seen {
        alerts,
        ..Seen::default()
    }
}

async fn tell(store: &Store, pool: PoolId, audience: Audience, event: Event, now_ms: i64) -> u64 {
    let seen = seen(vec![new(audience, event)]);
    store.note_alerts(pool, &seen, now_ms).await.unwrap()
}

/// The texts and subscriptions of what is due of a kind of place.
async fn due(store: &Store, sink: Sink, now_ms: i64) -> Vec<(u64, String)> {
    let due = store.due_deliveries(sink, now_ms, 100).await.unwrap();
    due.into_iter()
        .map(|copy| (copy.subscription.id, copy.alert.text))
        .collect()
}

async fn a_subscription_is_made_listed_and_removed_with_a_number_each(place: Place) {
    let (store, pool) = place.pool().await;
    let id = subscribe(&store, pool, MINER, &hook("a"), NOW)
        .await
        .unwrap();
    // The same number again, and two changes within a second.
    let again = subscribe(&store, pool, MINER, &hook("b"), NOW).await;
    let used = SettingsError::Used(NOW.unsigned_abs());
    assert_eq!(again, Err(SubscribeError::Settings(used)));
    let soon = subscribe(&store, pool, MINER, &hook("b"), NOW + 1).await;
    assert!(matches!(
        soon,
        Err(SubscribeError::Settings(SettingsError::TooSoon(_)))
    ));
    let list = |number, now_ms| store.list_subscriptions(pool, MINER, number, now_ms);
    let listed = list(NOW.unsigned_abs() + 2_000, NOW + 2_000).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].id, listed[0].target.as_str(), listed[0].active),
        (id, "a", true)
    );
    assert_eq!(listed[0].kinds, Kinds::of_miners());
    // A list uses its number up.
    let replayed = list(NOW.unsigned_abs() + 2_000, NOW + 9_000).await;
    assert!(matches!(replayed, Err(SettingsError::Used(_))));
    // Nobody removes another's.
    let remove =
        |address, id, at: i64| store.remove_subscription(pool, address, id, at.unsigned_abs(), at);
    assert!(!remove(OTHER, id, NOW + 4_000).await.unwrap());
    assert!(remove(MINER, id, NOW + 4_000).await.unwrap());
    assert!(!remove(MINER, id, NOW + 6_000).await.unwrap());
    assert_eq!(store.subscription(id).await.unwrap(), None);
    assert_eq!(store.count_subscriptions(pool, MINER).await.unwrap(), 0);
    assert_eq!(tell(&store, pool, to(MINER), offline("a"), NOW).await, 0);
}

async fn an_address_has_only_so_many_subscriptions(place: Place) {
    let (store, pool) = place.pool().await;
    let mut at = NOW;
    let mut next = || {
        at += 2_000;
        at
    };
    for target in ["a", "b", "c"] {
        let made = subscribe(&store, pool, MINER, &hook(target), next()).await;
        made.unwrap();
    }
    let many = subscribe(&store, pool, MINER, &hook("d"), next()).await;
    assert_eq!(many, Err(SubscribeError::TooMany(3)));
    let twice = subscribe(&store, pool, MINER, &hook("b"), next()).await;
    assert_eq!(twice, Err(SubscribeError::Twice(2)));
    // Others have their own, until the pool is full.
    for number in 0..7 {
        let address = format!("bcrt1q{number}");
        let made = subscribe(&store, pool, &address, &hook("b"), next()).await;
        made.unwrap();
    }
    let full = subscribe(&store, pool, OTHER, &hook("b"), next()).await;
    assert_eq!(full, Err(SubscribeError::Full));
    // What was removed counts for an hour.
    let now = next();
    store
        .remove_subscription(pool, MINER, 1, now.unsigned_abs(), now)
        .await
        .unwrap();
    let few = SubscriptionLimits {
        an_hour: 3,
        ..LIMITS
    };
    let again = |at: i64| {
        let (store, hook) = (store.clone(), hook("e"));
        async move {
            let number = at.unsigned_abs();
            let made = store.subscribe(pool, MINER, &hook, few, number, |_| None, at);
            made.await
        }
    };
    assert_eq!(again(next()).await, Err(SubscribeError::TooOften));
    assert!(again(NOW + 2 * HOUR).await.is_ok());
}

async fn a_mailbox_is_asked_first_and_not_often(place: Place) {
    let (store, pool) = place.pool().await;
    let mail = place_of(Sink::Email, "a@example.org", &[Kind::BlockFound]);
    let question = |id| {
        Some(new(
            Audience::Subscription(id),
            Event::Confirmation {
                address: MINER.into(),
                link: "https://pool.example/x".into(),
            },
        ))
    };
    let ask = |address: &'static str, at: i64| {
        store.subscribe(
            pool,
            address,
            &mail,
            LIMITS,
            at.unsigned_abs(),
            question,
            at,
        )
    };
    let id = ask(MINER, NOW).await.unwrap();
    // Nothing but the question is sent there.
    tell(&store, pool, Audience::Pool, found(1), NOW).await;
    let copies = due(&store, Sink::Email, NOW).await;
    assert_eq!(copies.len(), 1);
    assert!(copies[0].1.contains("https://pool.example/x"), "{copies:?}");
    assert!(store.subscribed(pool).await.unwrap().is_empty());
    let copy = store.due_deliveries(Sink::Email, NOW, 1).await.unwrap();
    store.delivered(copy[0].id, NOW).await.unwrap();
    // The question stands on no page.
    assert_eq!(
        store.alerts_of(pool, MINER, None, 10).await.unwrap().len(),
        1
    );
    assert_eq!(store.operator_alerts(None, 10).await.unwrap().len(), 1);
    // Others who name the same mailbox have it asked thrice a day together.
    ask(OTHER, NOW).await.unwrap();
    ask("bcrt1qthird", NOW).await.unwrap();
    assert_eq!(
        ask("bcrt1qfourth", NOW).await,
        Err(SubscribeError::TooOften)
    );
    ask("bcrt1qfifth", NOW + 25 * HOUR).await.unwrap();
    // Confirmed, it is told, once it was.
    store.confirm_subscription(id, NOW).await.unwrap();
    assert!(store.subscription(id).await.unwrap().unwrap().active);
    assert_eq!(tell(&store, pool, Audience::Pool, found(2), NOW).await, 1);
    // Whoever has the mailbox ends it, and a late click does not begin it again.
    store.stop_subscription(id, NOW).await.unwrap();
    store.confirm_subscription(id, NOW).await.unwrap();
    assert_eq!(tell(&store, pool, Audience::Pool, found(3), NOW).await, 0);
    let left = due(&store, Sink::Email, NOW + 26 * HOUR).await;
    assert!(left.iter().all(|(to, _)| *to != id), "{left:?}");
}

async fn a_copy_goes_to_whoever_asked_for_it(place: Place) {
    let (store, pool) = place.pool().await;
    let other_pool = store
        .pool("other", bitcoin(), Network::Regtest)
        .await
        .unwrap();
    let all = subscribe(&store, pool, MINER, &hook("all"), NOW).await;
    let all = all.unwrap();
    let blocks = place_of(Sink::Webhook, "blocks", &[Kind::BlockFound]);
    let blocks = subscribe(&store, pool, MINER, &blocks, NOW + 2_000).await;
    let blocks = blocks.unwrap();
    let page = place_of(Sink::Page, "", &[Kind::BlockFound, Kind::WorkerOffline]);
    subscribe(&store, pool, MINER, &page, NOW + 4_000)
        .await
        .unwrap();
    let other = subscribe(&store, pool, OTHER, &hook("other"), NOW).await;
    let other = other.unwrap();
    subscribe(&store, other_pool, MINER, &hook("x"), NOW)
        .await
        .unwrap();
    let operator = place_of(Sink::Ntfy, "", &[Kind::DiskLow, Kind::BlockFound]);
    store
        .set_operator_subscriptions(&[operator], NOW)
        .await
        .unwrap();
    let took = |event, audience| tell(&store, pool, audience, event, NOW);
    assert_eq!(took(offline("a"), to(MINER)).await, 1);
    assert_eq!(due(&store, Sink::Webhook, NOW).await.len(), 1);
    let copy = store.due_deliveries(Sink::Webhook, NOW, 9).await.unwrap();
    assert_eq!(copy[0].subscription.id, all);
    assert_eq!(copy[0].alert.address, MINER);
    store.delivered(copy[0].id, NOW).await.unwrap();
    assert_eq!(due(&store, Sink::Webhook, NOW).await, []);
    // A block is for all of the pool, and for the operator.
    assert_eq!(took(found(1), Audience::Pool).await, 4);
    let mut places: Vec<u64> = due(&store, Sink::Webhook, NOW)
        .await
        .into_iter()
        .map(|(place, _)| place)
        .collect();
    places.sort_unstable();
    assert_eq!(places, [all, blocks, other]);
    assert_eq!(due(&store, Sink::Ntfy, NOW).await.len(), 1);
    // The operator's is for the operator alone.
    assert_eq!(took(disk(), Audience::Operator).await, 1);
    let pages = |address: &'static str| store.alerts_of(pool, address, None, 100);
    let texts = |alerts: Vec<store::Alert>| alerts.into_iter().map(|alert| alert.kind);
    let miner: Vec<_> = texts(pages(MINER).await.unwrap()).collect();
    assert_eq!(miner, [Kind::BlockFound, Kind::WorkerOffline]);
    let other: Vec<_> = texts(pages(OTHER).await.unwrap()).collect();
    assert_eq!(other, [Kind::BlockFound]);
    let operator: Vec<_> = texts(store.operator_alerts(None, 9).await.unwrap()).collect();
    assert_eq!(operator, [Kind::DiskLow, Kind::BlockFound]);
    assert_eq!(
        store.subscribed(pool).await.unwrap(),
        [
            (MINER.to_owned(), Kinds::of_miners()),
            (OTHER.to_owned(), Kinds::of_miners())
        ]
    );
}

async fn a_trouble_and_its_end_go_to_the_same_places(place: Place) {
    let (store, pool) = place.pool().await;
    let first = subscribe(&store, pool, MINER, &hook("a"), NOW)
        .await
        .unwrap();
    assert_eq!(tell(&store, pool, to(MINER), offline("a"), NOW).await, 1);
    let known = store.alert_conditions(pool).await.unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!((known[0].subject.as_str(), known[0].since_ms), ("a", NOW));
    // Who came later was not told of the beginning.
    subscribe(&store, pool, MINER, &hook("b"), NOW + 2_000)
        .await
        .unwrap();
    // The process ends and another one begins.
    drop(store);
    let store = place.open().await;
    let end = Seen {
        alerts: vec![new(to(MINER), back("a"))],
        conditions: vec![ConditionChange::Ends {
            kind: Kind::WorkerOffline,
            address: MINER.into(),
            subject: "a".into(),
        }],
        ..Seen::default()
    };
    assert_eq!(store.note_alerts(pool, &end, NOW + 9_000).await.unwrap(), 1);
    assert_eq!(store.alert_conditions(pool).await.unwrap(), []);
    let told = store.alerts_of(pool, MINER, None, 10).await.unwrap();
    assert_eq!((told[0].phase, told[1].phase), (Phase::Over, Phase::Begun));
    assert_eq!(told[0].begun, Some(told[1].id));
    let copies = due(&store, Sink::Webhook, NOW + 9_000).await;
    assert_eq!(copies.len(), 1, "the beginning first");
    assert_eq!(copies[0].0, first);
}

async fn no_subscriber_is_told_too_much(place: Place) {
    let (store, pool) = place.pool().await;
    subscribe(&store, pool, MINER, &hook("a"), NOW)
        .await
        .unwrap();
    let most = u64::from(Kind::WorkerOffline.per_hour());
    let mut copies = 0;
    for number in 0..most + 5 {
        let event = offline(&format!("w{number}"));
        copies += tell(&store, pool, to(MINER), event, NOW).await;
    }
    assert_eq!(copies, most);
    // Another kind is another matter, and so is the end of what was told.
    assert_eq!(tell(&store, pool, Audience::Pool, found(1), NOW).await, 1);
    assert_eq!(tell(&store, pool, to(MINER), back("w0"), NOW).await, 1);
    // The end of what was not told is not told.
    let unheard = format!("w{}", most + 1);
    assert_eq!(tell(&store, pool, to(MINER), back(&unheard), NOW).await, 0);
    // All of it stands on the page.
    let page = store.alerts_of(pool, MINER, None, 1_000).await.unwrap();
    assert_eq!(page.len() as u64, most + 5 + 3);
    let later = NOW + HOUR;
    assert_eq!(tell(&store, pool, to(MINER), offline("x"), later).await, 1);
}

async fn copies_of_a_place_go_one_after_the_other(place: Place) {
    let (store, pool) = place.pool().await;
    let down = subscribe(&store, pool, MINER, &hook("down"), NOW).await;
    let down = down.unwrap();
    let up = subscribe(&store, pool, OTHER, &hook("up"), NOW)
        .await
        .unwrap();
    for height in 1..=2 {
        tell(&store, pool, Audience::Pool, found(height), NOW).await;
    }
    let first = store.due_deliveries(Sink::Webhook, NOW, 9).await.unwrap();
    let heads: Vec<u64> = first.iter().map(|copy| copy.subscription.id).collect();
    assert_eq!(heads, [down, up]);
    assert_eq!(first[0].alert.id, first[1].alert.id);
    let failed = store.delivery_failed(first[0].id, "no connection", Some(NOW + 500), NOW);
    failed.await.unwrap();
    store.delivered(first[1].id, NOW).await.unwrap();
    // The one goes on, the other waits, and its second copy with it.
    let next = store.due_deliveries(Sink::Webhook, NOW, 9).await.unwrap();
    assert_eq!(next.len(), 1);
    assert_eq!((next[0].subscription.id, next[0].attempts), (up, 0));
    let later = store
        .due_deliveries(Sink::Webhook, NOW + 500, 9)
        .await
        .unwrap();
    let again = later
        .iter()
        .find(|copy| copy.subscription.id == down)
        .unwrap();
    assert_eq!((again.id, again.attempts), (first[0].id, 1));
    // What is told twice to have got through has got through once.
    store.delivered(first[1].id, NOW).await.unwrap();
    let late = store.delivery_failed(first[1].id, "late", Some(NOW), NOW);
    late.await.unwrap();
    let next = store.due_deliveries(Sink::Webhook, NOW, 9).await.unwrap();
    assert!(next.iter().all(|copy| copy.id != first[1].id));
}

async fn what_is_given_up_is_kept_and_can_be_sent_again(place: Place) {
    let (store, pool) = place.pool().await;
    let id = subscribe(&store, pool, MINER, &hook("a"), NOW)
        .await
        .unwrap();
    tell(&store, pool, Audience::Pool, found(1), NOW).await;
    let copy = &store.due_deliveries(Sink::Webhook, NOW, 9).await.unwrap()[0];
    let long = "é".repeat(1_000) + "\0";
    store
        .delivery_failed(copy.id, &long, None, NOW)
        .await
        .unwrap();
    assert_eq!(due(&store, Sink::Webhook, NOW + HOUR).await, []);
    let dead = store.dead_letters(None, 9).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].subscription, dead[0].attempts), (id, 1));
    assert!(dead[0].error.len() <= 300 && !dead[0].error.is_empty());
    let counts = store.outbox_counts().await.unwrap();
    assert_eq!((counts.pending, counts.dead), (0, 1));
    assert!(!store.revive_delivery(dead[0].id + 1, NOW).await.unwrap());
    assert!(store.revive_delivery(dead[0].id, NOW).await.unwrap());
    assert!(!store.revive_delivery(dead[0].id, NOW).await.unwrap());
    assert_eq!(due(&store, Sink::Webhook, NOW).await.len(), 1);
}

async fn a_block(store: &Store, pool: PoolId, number: u64) -> NewBlock {
    let block = NewBlock {
        hash: hash(number),
        proof: hash(number),
        height: 100,
        worker: (*worker("rig")).clone(),
        network: NetworkDifficulty::Bits(0x1d00_ffff),
        time: 1_800_000_000,
        found_ms: NOW,
        reward: Amount::from_units(5_000_000_000),
        coinbase: None,
        scheme: Scheme::Pplns,
    };
    assert!(store.record_block(pool, &block).await.unwrap());
    block
}

async fn becomes(store: &Store, pool: PoolId, block: &NewBlock, state: BlockState) {
    let change = BlockChange {
        state,
        confirmations: 1,
        verdict: None,
    };
    store.change_block(pool, block.hash, &change).await.unwrap();
}

async fn a_block_is_news_until_it_was_looked_at(place: Place) {
    let (store, pool) = place.pool().await;
    let block = a_block(&store, pool, 1).await;
    let news = store.block_news(pool, 9).await.unwrap();
    assert_eq!(news.len(), 1);
    assert_eq!(
        (news[0].before, news[0].block.state),
        (None, BlockState::Submitted)
    );
    let look = |seq, state| Seen {
        blocks: vec![BlockSeen { seq, state }],
        ..Seen::default()
    };
    let seq = news[0].block.seq;
    let seen = look(seq, BlockState::Submitted);
    store.note_alerts(pool, &seen, NOW).await.unwrap();
    assert_eq!(store.block_news(pool, 9).await.unwrap(), []);
    becomes(&store, pool, &block, BlockState::Immature).await;
    becomes(&store, pool, &block, BlockState::Mature).await;
    let news = store.block_news(pool, 9).await.unwrap();
    assert_eq!(
        (news[0].before, news[0].block.state),
        (Some(BlockState::Submitted), BlockState::Mature)
    );
    // It went on while it was looked at: that is news too.
    let seen = look(seq, BlockState::Immature);
    store.note_alerts(pool, &seen, NOW).await.unwrap();
    let news = store.block_news(pool, 9).await.unwrap();
    assert_eq!(news[0].before, Some(BlockState::Immature));
    store.skip_news(pool).await.unwrap();
    assert_eq!(store.block_news(pool, 9).await.unwrap(), []);
}

async fn a_payout_is_news_until_it_was_looked_at(place: Place) {
    let (store, pool) = place.pool().await;
    subscribe(&store, pool, MINER, &hook("a"), NOW)
        .await
        .unwrap();
    for (name, address) in [("one", MINER), ("two", OTHER)] {
        let account = Account::Miner(address.into());
        let gift = Transfer::new(Account::Reward, account, Amount::from_units(1000)).unwrap();
        let gift = Entry::correction(name, gift, "test");
        store.enter(pool, &gift, NOW).await.unwrap();
    }
    let lease = store
        .lease_payer(pool, "test", NOW, NOW + 60_000)
        .await
        .unwrap();
    let payments = [(MINER, 700), (OTHER, 300)].map(|(address, units)| store::PaymentRow {
        account: Account::Miner(address.into()),
        address: address.into(),
        amount: Amount::from_units(units),
    });
    let number = store
        .reserve_payout(&lease.unwrap(), "bitcoin", &payments, NOW)
        .await
        .unwrap();
    let news = store.payout_news(pool, 9).await.unwrap();
    assert_eq!(news.len(), 1);
    assert_eq!(
        (news[0].state, news[0].told),
        (BatchState::Reserved, Told::Nothing)
    );
    assert_eq!((news[0].payments, news[0].total.units()), (2, 1000));
    // Only whoever wants to be told is named.
    assert_eq!(
        news[0].to_subscribers,
        [(MINER.to_owned(), Amount::from_units(700))]
    );
    let seen = Seen {
        payouts: vec![PayoutSeen {
            number,
            state: BatchState::Reserved,
            told: Told::Sent,
        }],
        ..Seen::default()
    };
    store.note_alerts(pool, &seen, NOW).await.unwrap();
    assert_eq!(store.payout_news(pool, 9).await.unwrap(), []);
    execute(&place, "UPDATE payouts SET state = 'released'").await;
    let news = store.payout_news(pool, 9).await.unwrap();
    assert_eq!(
        (news[0].state, news[0].told),
        (BatchState::Released, Told::Sent)
    );
}

async fn what_was_seen_is_written_whole_or_not_at_all(place: Place) {
    let (store, pool) = place.pool().await;
    subscribe(&store, pool, MINER, &hook("a"), NOW)
        .await
        .unwrap();
    let mut both = seen(vec![new(to(MINER), offline("a"))]);
    both.conditions = vec![
        ConditionChange::Value {
            kind: Kind::WorkerOffline,
            address: MINER.into(),
            subject: "a".into(),
            value: "17".into(),
        },
        ConditionChange::Is(KnownCondition {
            kind: Kind::RecordShare,
            address: MINER.into(),
            subject: String::new(),
            since_ms: 3,
            value: "00ff".into(),
        }),
    ];
    execute(&place, "ALTER TABLE alert_conditions RENAME TO hidden").await;
    assert!(store.note_alerts(pool, &both, NOW).await.is_err());
    execute(&place, "ALTER TABLE hidden RENAME TO alert_conditions").await;
    assert_eq!(store.alerts_of(pool, MINER, None, 9).await.unwrap(), []);
    assert_eq!(store.outbox_counts().await.unwrap().pending, 0);
    assert_eq!(store.note_alerts(pool, &both, NOW).await.unwrap(), 1);
    let mut known = store.alert_conditions(pool).await.unwrap();
    known.sort_by_key(|known| known.kind);
    let values: Vec<&str> = known.iter().map(|known| known.value.as_str()).collect();
    assert_eq!(values, ["17", "00ff"]);
}

async fn figures_are_of_subscribers_alone(place: Place) {
    let (store, pool) = place.pool().await;
    let (rig, shed) = (worker("rig"), worker("shed"));
    let stranger = store::WorkerName::new(OTHER, "x").unwrap().into();
    let minute = Minute::of_ms(NOW);
    for (number, worker, work, minutes) in [
        (1, &rig, 10, 0),
        (2, &shed, 20, 1),
        (3, &rig, 40, 70),
        (4, &stranger, 80, 0),
    ] {
        let at = minute.start_ms() + minutes * 60_000;
        let row = share_at(number, worker, work, at);
        store.append_shares(pool, &[row]).await.unwrap();
    }
    while !store.roll_up(pool).await.unwrap().done {}
    let recent = |to| store.recent_work(pool, minute, Minute::from_number(to));
    assert_eq!(recent(minute.number() + 99).await.unwrap(), []);
    assert_eq!(store.best_hashes(pool).await.unwrap(), []);
    subscribe(&store, pool, MINER, &hook("a"), NOW)
        .await
        .unwrap();
    let found = recent(minute.number() + 60).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].address.as_str(), found[0].first), (MINER, minute));
    assert_eq!((found[0].sums.shares, found[0].sums.work.hashes()), (2, 30));
    let usual = store
        .usual_work(
            pool,
            minute.hour(),
            Minute::from_number(minute.number() + 180),
        )
        .await
        .unwrap();
    assert_eq!((usual[0].sums.shares, usual[0].sums.work.hashes()), (3, 70));
    assert_eq!(usual[0].first, minute.hour());
    let best = store.best_hashes(pool).await.unwrap();
    assert_eq!(best.len(), 1);
    let smallest = [1, 2, 3].map(|number| hash(number).to_display_bytes());
    assert_eq!(
        best[0].1.to_display_bytes(),
        *smallest.iter().min().unwrap()
    );
    let last = store.last_shares(pool, MINER, 0, 9).await.unwrap();
    let names: Vec<&str> = last.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["rig", "shed"], "the newest first");
    let none = store.last_shares(pool, MINER, NOW + HOUR * 9, 9).await;
    assert_eq!(none.unwrap(), []);
}

async fn what_is_old_is_forgotten(place: Place) {
    let (store, pool) = place.pool().await;
    let id = subscribe(&store, pool, MINER, &hook("a"), NOW)
        .await
        .unwrap();
    tell(&store, pool, Audience::Pool, found(1), NOW).await;
    tell(&store, pool, to(MINER), offline("a"), NOW).await;
    let first = &store.due_deliveries(Sink::Webhook, NOW, 1).await.unwrap()[0];
    store.delivered(first.id, NOW).await.unwrap();
    assert!(store.prune_alerts(NOW).await.unwrap());
    assert_eq!(
        store.alerts_of(pool, MINER, None, 9).await.unwrap().len(),
        2
    );
    // What waits to be sent, and a trouble that is not over, stay.
    assert!(store.prune_alerts(NOW + 1).await.unwrap());
    let left = store.alerts_of(pool, MINER, None, 9).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].kind, Kind::WorkerOffline);
    store.stop_subscription(id, NOW).await.unwrap();
    assert!(store.prune_alerts(NOW + 1).await.unwrap());
    // Its row is gone: it counts against no limit any more.
    let limits = SubscriptionLimits {
        an_hour: 1,
        ..LIMITS
    };
    let number = NOW.unsigned_abs() + 2_000;
    let hook = hook("a");
    let made = store.subscribe(pool, MINER, &hook, limits, number, |_| None, NOW + 2_000);
    made.await.unwrap();
}

async fn the_operator_s_places_are_those_of_the_configuration(place: Place) {
    let (store, pool) = place.pool().await;
    let set = |places: Vec<NewSubscription>| {
        let store = store.clone();
        async move {
            let set = store.set_operator_subscriptions(&places, NOW);
            set.await.unwrap();
        }
    };
    let disk_low = [Kind::DiskLow];
    set(vec![
        place_of(Sink::Ntfy, "", &disk_low),
        place_of(Sink::Webhook, "", &disk_low),
    ])
    .await;
    set(vec![
        place_of(Sink::Ntfy, "", &disk_low),
        place_of(Sink::Webhook, "", &disk_low),
    ])
    .await;
    let took = || tell(&store, pool, Audience::Operator, disk(), NOW);
    assert_eq!(took().await, 2);
    let kinds = [Kind::BlockFound];
    set(vec![place_of(Sink::Ntfy, "", &kinds)]).await;
    assert_eq!(took().await, 0);
    assert_eq!(tell(&store, pool, Audience::Pool, found(1), NOW).await, 1);
    // What was to be sent to a place that is gone is not sent.
    assert_eq!(due(&store, Sink::Webhook, NOW).await, []);
    // A miner's link does nothing to the operator's.
    store.stop_subscription(1, NOW).await.unwrap();
    assert_eq!(store.subscription(1).await.unwrap(), None);
    assert_eq!(tell(&store, pool, Audience::Pool, found(2), NOW).await, 1);
}

async fn what_there_was_before_is_no_news(place: Place) {
    let (store, pool) = place.pool().await;
    a_block(&store, pool, 1).await;
    store.skip_news(pool).await.unwrap();
    let block = a_block(&store, pool, 2).await;
    let news = store.block_news(pool, 9).await.unwrap();
    assert_eq!(news.len(), 1);
    assert_eq!(news[0].block.found.hash, block.hash);
}
