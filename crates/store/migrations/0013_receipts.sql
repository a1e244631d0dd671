-- The logs that receipts are made from. A log is a stretch of the order of shares, in `share_batches`;
-- here is what is needed to go on with it, and to prove what is in it without reading all of it.

-- One for each pool. From the salt's key miners' accounts are made; all batches up to `logged_seq` are
-- in a log.
CREATE TABLE receipt_logs (
    pool BIGINT PRIMARY KEY REFERENCES pools (id),
    salt_key BLOB NOT NULL,
    logged_seq BIGINT NOT NULL
);

-- `day` is the number of days since 1970. `edge` holds the roots of the full trees that the leaves
-- make, 32 bytes each, the largest tree first. A closed day gets no more shares; then its statement is
-- signed.
CREATE TABLE receipt_days (
    pool BIGINT NOT NULL REFERENCES pools (id),
    day BIGINT NOT NULL,
    shares BIGINT NOT NULL,
    work_high BIGINT NOT NULL,
    work_low BIGINT NOT NULL,
    edge BLOB NOT NULL,
    closed BIGINT NOT NULL DEFAULT 0,
    statement TEXT,
    public_key BLOB,
    signature BLOB,
    PRIMARY KEY (pool, day)
);

-- Each 1,024 leaves of a log: where their first share is, and their digest once they are complete.
CREATE TABLE receipt_chunks (
    pool BIGINT NOT NULL REFERENCES pools (id),
    day BIGINT NOT NULL,
    chunk BIGINT NOT NULL,
    first_seq BIGINT NOT NULL,
    first_place BIGINT NOT NULL,
    digest BLOB,
    PRIMARY KEY (pool, day, chunk)
);

-- What each miner did on a day, by its blinded account.
CREATE TABLE receipt_sums (
    pool BIGINT NOT NULL REFERENCES pools (id),
    day BIGINT NOT NULL,
    account BLOB NOT NULL,
    shares BIGINT NOT NULL,
    work_high BIGINT NOT NULL,
    work_low BIGINT NOT NULL,
    PRIMARY KEY (pool, day, account)
);
