-- Shares are written in packed batches, one row for each commit, and counted from there into
-- minutes and workers. What is not rolled up yet is counted first; the single rows then go.

INSERT INTO minutes (pool, worker, minute, shares, work_high, work_low, last_ms)
SELECT shares.pool, shares.worker, shares.minute, COUNT(*),
       CAST(SUM(work >> 32) AS BIGINT) + (CAST(SUM(work & 4294967295) AS BIGINT) >> 32),
       CAST(SUM(work & 4294967295) AS BIGINT) & 4294967295,
       MAX(time_ms)
FROM shares JOIN pools ON pools.id = shares.pool
WHERE shares.minute >= pools.rolled_until
GROUP BY shares.pool, shares.worker, shares.minute;

UPDATE workers SET
    shares = workers.shares + added.shares,
    work_high = workers.work_high + added.high + ((workers.work_low + added.low) >> 32),
    work_low = (workers.work_low + added.low) & 4294967295,
    last_seen_ms = CASE WHEN added.last_ms > workers.last_seen_ms
        THEN added.last_ms ELSE workers.last_seen_ms END
FROM (
    SELECT shares.worker AS worker, COUNT(*) AS shares,
           CAST(SUM(work >> 32) AS BIGINT) + (CAST(SUM(work & 4294967295) AS BIGINT) >> 32) AS high,
           CAST(SUM(work & 4294967295) AS BIGINT) & 4294967295 AS low,
           MAX(time_ms) AS last_ms
    FROM shares JOIN pools ON pools.id = shares.pool
    WHERE shares.minute >= pools.rolled_until
    GROUP BY shares.worker
) AS added
WHERE added.worker = workers.id;

DROP TABLE shares;
DELETE FROM counters WHERE name = 'share';
ALTER TABLE pools DROP COLUMN rolled_until;
-- All batches up to this one are counted in minutes and workers.
ALTER TABLE pools ADD COLUMN rolled_seq BIGINT NOT NULL DEFAULT 0;

-- `seq` is the order of commits. `shares` holds `count` records of 60 bytes; their layout is in
-- src/packed.rs.
CREATE TABLE share_batches (
    seq INTEGER PRIMARY KEY,
    pool BIGINT NOT NULL REFERENCES pools (id),
    count BIGINT NOT NULL,
    height BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    shares BLOB NOT NULL
);
CREATE INDEX share_batches_by_pool ON share_batches (pool, seq);
