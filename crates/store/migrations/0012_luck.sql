-- How many blocks the work of each worker was expected to find, and how many it found; both counted
-- as shares are rolled up, from this schema on. What is expected is in 2^-64 of a block: high * 2^32 +
-- low, with low < 2^32.
ALTER TABLE workers ADD COLUMN expected_high BIGINT NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN expected_low BIGINT NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN found BIGINT NOT NULL DEFAULT 0;

-- What an account had when it was counted anew.
CREATE TABLE counted_anew (
    pool BIGINT NOT NULL REFERENCES pools (id),
    address TEXT NOT NULL,
    expected_high BIGINT NOT NULL,
    expected_low BIGINT NOT NULL,
    found BIGINT NOT NULL,
    time_ms BIGINT NOT NULL,
    PRIMARY KEY (pool, address)
);

-- The work of the round that a block ended, whatever its shares are paid by; nothing while its share
-- is not rolled up, or where nobody knows when the round began.
ALTER TABLE blocks ADD COLUMN round_high BIGINT;
ALTER TABLE blocks ADD COLUMN round_low BIGINT;
-- And of the present one.
ALTER TABLE pools ADD COLUMN round_high BIGINT DEFAULT 0;
ALTER TABLE pools ADD COLUMN round_low BIGINT DEFAULT 0;
UPDATE pools SET round_high = NULL, round_low = NULL WHERE rolled_seq > 0;

-- The roll-up looks for blocks of the heights of its shares.
CREATE INDEX blocks_by_height ON blocks (pool, height);
