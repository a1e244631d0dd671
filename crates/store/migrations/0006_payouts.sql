-- Payouts: batches of payments in one transaction, kept before it is sent.

CREATE TABLE payouts (
    pool BIGINT NOT NULL REFERENCES pools (id),
    number BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN ('reserved', 'signed', 'broadcast', 'confirmed', 'released', 'manual')),
    made_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,
    total BIGINT NOT NULL CHECK (total > 0),
    -- What was signed, once it was.
    network_fee BIGINT CHECK (network_fee >= 0),
    txid BLOB,
    raw BLOB,
    -- Blocks that confirm it, as last seen.
    confirmations BIGINT NOT NULL DEFAULT 0,
    -- For people: why it waits, was released, or needs one of them.
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (pool, number),
    UNIQUE (pool, txid),
    CHECK (state IN ('reserved', 'released') OR (raw IS NOT NULL AND txid IS NOT NULL))
);
CREATE INDEX payouts_by_state ON payouts (pool, state);

CREATE TABLE payments (
    pool BIGINT NOT NULL,
    payout BIGINT NOT NULL,
    account BIGINT NOT NULL REFERENCES accounts (id),
    address TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    PRIMARY KEY (pool, payout, account),
    FOREIGN KEY (pool, payout) REFERENCES payouts (pool, number)
);
CREATE INDEX payments_by_account ON payments (account, payout);

-- What an owner of a balance wants; nothing said is the operator's default.
CREATE TABLE payout_settings (
    account BIGINT PRIMARY KEY REFERENCES accounts (id),
    threshold BIGINT CHECK (threshold >= 0),
    schedule TEXT NOT NULL DEFAULT 'threshold',
    paused BIGINT NOT NULL DEFAULT 0,
    requested BIGINT NOT NULL DEFAULT 0,
    changed_ms BIGINT NOT NULL
);

-- One process pays: whoever holds the lease, and only under the number that it got with it.
CREATE TABLE payers (
    pool BIGINT NOT NULL REFERENCES pools (id),
    epoch BIGINT NOT NULL,
    holder TEXT NOT NULL,
    until_ms BIGINT NOT NULL,
    -- Set by an operator, or by a payout that nobody can tell the fate of; payments wait.
    paused TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (pool)
);
