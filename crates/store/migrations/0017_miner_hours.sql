-- Sums of an address by the minute and by the hour, so that what a miner did is read as fast with ten
-- thousand workers as with one. `miner` is the id of the first worker of an address: its number.

ALTER TABLE workers ADD COLUMN miner BIGINT NOT NULL DEFAULT 0;
UPDATE workers SET miner = firsts.first_id
FROM (SELECT pool AS of_pool, address AS of_address, MIN(id) AS first_id
      FROM workers GROUP BY pool, address) AS firsts
WHERE firsts.of_pool = workers.pool AND firsts.of_address = workers.address;

CREATE TABLE miner_minutes (
    pool BIGINT NOT NULL REFERENCES pools (id),
    miner BIGINT NOT NULL REFERENCES workers (id),
    minute BIGINT NOT NULL,
    shares BIGINT NOT NULL,
    work_high BIGINT NOT NULL,
    work_low BIGINT NOT NULL,
    PRIMARY KEY (miner, minute)
);
CREATE INDEX miner_minutes_by_minute ON miner_minutes (pool, minute);

CREATE TABLE miner_hours (
    pool BIGINT NOT NULL REFERENCES pools (id),
    miner BIGINT NOT NULL REFERENCES workers (id),
    hour BIGINT NOT NULL,
    shares BIGINT NOT NULL,
    work_high BIGINT NOT NULL,
    work_low BIGINT NOT NULL,
    PRIMARY KEY (miner, hour)
);
CREATE INDEX miner_hours_by_hour ON miner_hours (pool, hour);

INSERT INTO miner_minutes (pool, miner, minute, shares, work_high, work_low)
SELECT workers.pool, workers.miner, minutes.minute, CAST(SUM(minutes.shares) AS BIGINT),
       CAST(SUM(minutes.work_high) AS BIGINT) + (CAST(SUM(minutes.work_low) AS BIGINT) >> 32),
       CAST(SUM(minutes.work_low) AS BIGINT) & 4294967295
FROM minutes JOIN workers ON workers.id = minutes.worker
GROUP BY workers.pool, workers.miner, minutes.minute;

INSERT INTO miner_hours (pool, miner, hour, shares, work_high, work_low)
SELECT workers.pool, workers.miner, hours.hour, CAST(SUM(hours.shares) AS BIGINT),
       CAST(SUM(hours.work_high) AS BIGINT) + (CAST(SUM(hours.work_low) AS BIGINT) >> 32),
       CAST(SUM(hours.work_low) AS BIGINT) & 4294967295
FROM hours JOIN workers ON workers.id = hours.worker
GROUP BY workers.pool, workers.miner, hours.hour;
