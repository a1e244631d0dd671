-- What shares are worth, and what of their worth is not paid yet.

-- What a block at a height was expected to be: target and subsidy are those of the first template
-- there, fees those of the newest; none while only templates without transactions were seen.
CREATE TABLE prices (
    pool BIGINT NOT NULL REFERENCES pools (id),
    height BIGINT NOT NULL,
    bits BIGINT NOT NULL,
    subsidy BIGINT NOT NULL CHECK (subsidy >= 0),
    fees BIGINT CHECK (fees >= 0),
    PRIMARY KEY (pool, height)
);

-- Where shares are paid for as they come, a bucket is of one height and goes once it is credited.
ALTER TABLE buckets ADD COLUMN height BIGINT;

-- What accounts are owed below one unit, in 2^-64 of it: high * 2^32 + low, with low < 2^32.
CREATE TABLE owed (
    account BIGINT PRIMARY KEY REFERENCES accounts (id),
    high BIGINT NOT NULL,
    low BIGINT NOT NULL
);
