-- What minutes add up to: of a worker by the hour, and of a whole pool by the minute and by the hour, so
-- that a chart of a month reads as few rows as one of a day, whatever the number of workers.

CREATE TABLE hours (
    pool BIGINT NOT NULL REFERENCES pools (id),
    worker BIGINT NOT NULL REFERENCES workers (id),
    hour BIGINT NOT NULL,
    shares BIGINT NOT NULL,
    work_high BIGINT NOT NULL,
    work_low BIGINT NOT NULL,
    PRIMARY KEY (worker, hour)
);
CREATE INDEX hours_by_hour ON hours (pool, hour);

CREATE TABLE pool_minutes (
    pool BIGINT NOT NULL REFERENCES pools (id),
    minute BIGINT NOT NULL,
    shares BIGINT NOT NULL,
    work_high BIGINT NOT NULL,
    work_low BIGINT NOT NULL,
    PRIMARY KEY (pool, minute)
);

CREATE TABLE pool_hours (
    pool BIGINT NOT NULL REFERENCES pools (id),
    hour BIGINT NOT NULL,
    shares BIGINT NOT NULL,
    work_high BIGINT NOT NULL,
    work_low BIGINT NOT NULL,
    PRIMARY KEY (pool, hour)
);

INSERT INTO hours (pool, worker, hour, shares, work_high, work_low)
SELECT pool, worker, minute / 60, CAST(SUM(shares) AS BIGINT),
       CAST(SUM(work_high) AS BIGINT) + (CAST(SUM(work_low) AS BIGINT) >> 32),
       CAST(SUM(work_low) AS BIGINT) & 4294967295
FROM minutes GROUP BY pool, worker, minute / 60;

INSERT INTO pool_minutes (pool, minute, shares, work_high, work_low)
SELECT pool, minute, CAST(SUM(shares) AS BIGINT),
       CAST(SUM(work_high) AS BIGINT) + (CAST(SUM(work_low) AS BIGINT) >> 32),
       CAST(SUM(work_low) AS BIGINT) & 4294967295
FROM minutes GROUP BY pool, minute;

INSERT INTO pool_hours (pool, hour, shares, work_high, work_low)
SELECT pool, minute / 60, CAST(SUM(shares) AS BIGINT),
       CAST(SUM(work_high) AS BIGINT) + (CAST(SUM(work_low) AS BIGINT) >> 32),
       CAST(SUM(work_low) AS BIGINT) & 4294967295
FROM pool_minutes GROUP BY pool, minute / 60;
