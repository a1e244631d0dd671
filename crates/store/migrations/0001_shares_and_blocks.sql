-- One schema for every database: on PostgreSQL `INTEGER PRIMARY KEY` reads BIGINT and BLOB reads
-- BYTEA, nothing else differs. Ids come from `counters`, so they are never used twice, also not
-- after the newest rows were deleted.

CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    next BIGINT NOT NULL
);
INSERT INTO counters (name, next) VALUES ('pool', 1), ('worker', 1), ('share', 1), ('block', 1);

-- What a pool mines; a database that says otherwise than the configuration is the wrong one.
CREATE TABLE pools (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    coin TEXT NOT NULL,
    network TEXT NOT NULL,
    genesis BLOB,
    -- The next extranonce1 to be handed out; above 32 bits stands how often they began anew.
    next_extranonce BIGINT NOT NULL DEFAULT 0,
    -- The first minute that is not yet rolled up.
    rolled_until BIGINT NOT NULL DEFAULT 0
);

-- Work is two numbers, high * 2^32 + low with low < 2^32: its sum outgrows 64 bits.
CREATE TABLE workers (
    id INTEGER PRIMARY KEY,
    pool BIGINT NOT NULL REFERENCES pools (id),
    address TEXT NOT NULL,
    name TEXT NOT NULL,
    first_seen_ms BIGINT NOT NULL,
    -- The three below count what is rolled up.
    last_seen_ms BIGINT NOT NULL,
    shares BIGINT NOT NULL DEFAULT 0,
    work_high BIGINT NOT NULL DEFAULT 0,
    work_low BIGINT NOT NULL DEFAULT 0,
    -- The smallest hash, most significant byte first.
    best BLOB,
    UNIQUE (pool, address, name)
);

-- Hashes stand most significant byte first, so that their order is that of the numbers.
-- `seq` is the order of commits. `minute` is the one that the share counts in: its own, or the
-- first open one where its own was rolled up before it arrived.
CREATE TABLE shares (
    seq INTEGER PRIMARY KEY,
    pool BIGINT NOT NULL,
    hash BLOB NOT NULL,
    worker BIGINT NOT NULL REFERENCES workers (id),
    work BIGINT NOT NULL,
    height BIGINT NOT NULL,
    time_ms BIGINT NOT NULL,
    minute BIGINT NOT NULL,
    UNIQUE (pool, hash)
);
CREATE INDEX shares_by_minute ON shares (pool, minute);

CREATE TABLE minutes (
    pool BIGINT NOT NULL REFERENCES pools (id),
    worker BIGINT NOT NULL REFERENCES workers (id),
    minute BIGINT NOT NULL,
    shares BIGINT NOT NULL,
    work_high BIGINT NOT NULL,
    work_low BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    PRIMARY KEY (worker, minute)
);
CREATE INDEX minutes_by_minute ON minutes (pool, minute);

CREATE TABLE blocks (
    seq INTEGER PRIMARY KEY,
    pool BIGINT NOT NULL REFERENCES pools (id),
    hash BLOB NOT NULL,
    height BIGINT NOT NULL,
    worker BIGINT NOT NULL REFERENCES workers (id),
    bits BIGINT NOT NULL,
    time BIGINT NOT NULL,
    found_ms BIGINT NOT NULL,
    reward BIGINT NOT NULL,
    coinbase BLOB,
    state TEXT NOT NULL CHECK (state IN ('submitted', 'immature', 'mature', 'orphaned')),
    confirmations BIGINT NOT NULL DEFAULT 0,
    verdict TEXT,
    UNIQUE (pool, hash)
);
CREATE INDEX blocks_by_state ON blocks (pool, state);
