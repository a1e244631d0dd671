-- What people are told, whom, and what of it is sent.

INSERT INTO counters (name, next) VALUES ('alert', 1), ('alert_subscription', 1), ('alert_delivery', 1);

-- `audience` is 'miner' for one address, 'pool' for all who mine there, 'operator', or 'subscription' for
-- the owner of one place alone. `begun` is the alert whose end this one is. `facts` is a JSON object.
CREATE TABLE alerts (
    id INTEGER PRIMARY KEY,
    pool BIGINT NOT NULL REFERENCES pools (id),
    audience TEXT NOT NULL CHECK (audience IN ('miner', 'pool', 'operator', 'subscription')),
    address TEXT NOT NULL DEFAULT '',
    kind TEXT NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('once', 'begun', 'over')),
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    facts TEXT NOT NULL,
    made_ms BIGINT NOT NULL,
    begun BIGINT
);
CREATE INDEX alerts_by_address ON alerts (pool, address, id);
CREATE INDEX alerts_by_audience ON alerts (audience, id);

-- Who wants to be told. An operator's own has no address and no pool. `kinds` has a bit for each kind. A
-- subscription that was removed has no target any more; what it was counts against the limits for a while.
CREATE TABLE alert_subscriptions (
    id INTEGER PRIMARY KEY,
    pool BIGINT REFERENCES pools (id),
    address TEXT NOT NULL,
    sink TEXT NOT NULL,
    target TEXT NOT NULL,
    target_digest BLOB NOT NULL,
    kinds BIGINT NOT NULL,
    secret BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('unconfirmed', 'active', 'removed')),
    made_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE INDEX alert_subscriptions_by_address ON alert_subscriptions (pool, address);
CREATE INDEX alert_subscriptions_by_target ON alert_subscriptions (target_digest);

-- The outbox. What is 'dead' was tried long enough.
CREATE TABLE alert_deliveries (
    id INTEGER PRIMARY KEY,
    alert BIGINT NOT NULL REFERENCES alerts (id),
    subscription BIGINT NOT NULL REFERENCES alert_subscriptions (id),
    sink TEXT NOT NULL,
    kind TEXT NOT NULL,
    counts BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'dead')),
    attempts BIGINT NOT NULL DEFAULT 0,
    made_ms BIGINT NOT NULL,
    next_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,
    error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX alert_deliveries_pending ON alert_deliveries (sink, subscription, id)
    WHERE state = 'pending';
CREATE INDEX alert_deliveries_by_subscription ON alert_deliveries (subscription, kind, made_ms);
CREATE INDEX alert_deliveries_by_alert ON alert_deliveries (alert);
CREATE INDEX alert_deliveries_dead ON alert_deliveries (id) WHERE state = 'dead';

-- Troubles that have begun, and what is remembered of an address to compare with.
CREATE TABLE alert_conditions (
    pool BIGINT NOT NULL REFERENCES pools (id),
    kind TEXT NOT NULL,
    address TEXT NOT NULL,
    subject TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    alert BIGINT,
    value TEXT NOT NULL,
    PRIMARY KEY (pool, kind, address, subject)
);

-- The state of a block and of a payout that alerts have looked at. Those that are there already are no
-- news. `told` is how far a payout was told of.
ALTER TABLE blocks ADD COLUMN alerted TEXT NOT NULL DEFAULT '';
UPDATE blocks SET alerted = state;
CREATE INDEX blocks_to_alert ON blocks (pool, seq) WHERE alerted <> state;
ALTER TABLE payouts ADD COLUMN alerted TEXT NOT NULL DEFAULT '';
ALTER TABLE payouts ADD COLUMN told BIGINT NOT NULL DEFAULT 0;
UPDATE payouts SET alerted = state, told = CASE state WHEN 'confirmed' THEN 2 WHEN 'broadcast' THEN 1
    ELSE 0 END;
CREATE INDEX payouts_to_alert ON payouts (pool, number) WHERE alerted <> state;
