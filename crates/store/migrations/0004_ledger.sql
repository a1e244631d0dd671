-- The books. Amounts are in the coin's smallest unit and fit 63 bits. Balances are kept by the
-- triggers of 0004_ledger.sqlite.sql and 0004_ledger.postgres.sql from what is entered, and by
-- nothing else.

INSERT INTO counters (name, next) VALUES ('account', 1), ('entry', 1), ('batch', 1);

CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    pool BIGINT NOT NULL REFERENCES pools (id),
    name TEXT NOT NULL,
    may_owe BIGINT NOT NULL CHECK (may_owe IN (0, 1)),
    posted BIGINT NOT NULL DEFAULT 0,
    -- What entries that are pending would add.
    pending BIGINT NOT NULL DEFAULT 0,
    UNIQUE (pool, name),
    CHECK (posted >= 0 OR may_owe = 1)
);

CREATE TABLE entries (
    seq INTEGER PRIMARY KEY,
    pool BIGINT NOT NULL REFERENCES pools (id),
    id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'posted', 'voided')),
    reason TEXT NOT NULL,
    made_ms BIGINT NOT NULL,
    settled_ms BIGINT,
    UNIQUE (pool, id)
);

-- From the account that is debited to the one that is credited.
CREATE TABLE transfers (
    entry BIGINT NOT NULL REFERENCES entries (seq),
    place BIGINT NOT NULL,
    debit BIGINT NOT NULL REFERENCES accounts (id),
    credit BIGINT NOT NULL REFERENCES accounts (id),
    amount BIGINT NOT NULL CHECK (amount > 0),
    PRIMARY KEY (entry, place),
    CHECK (debit <> credit)
);
CREATE INDEX transfers_by_debit ON transfers (debit, entry);
CREATE INDEX transfers_by_credit ON transfers (credit, entry);
