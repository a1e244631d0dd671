-- By which scheme shares and blocks are paid, and what blocks were paid for.

ALTER TABLE share_batches ADD COLUMN scheme TEXT NOT NULL DEFAULT 'pplns';
ALTER TABLE blocks ADD COLUMN scheme TEXT NOT NULL DEFAULT 'pplns';

-- The hash by which its share is known, where that is another one than the block's id.
ALTER TABLE blocks ADD COLUMN proof BLOB;
-- The place of the block's own share: its batch, and its number in it from 0 on. With it ends what
-- the block pays for.
ALTER TABLE blocks ADD COLUMN share_seq BIGINT;
ALTER TABLE blocks ADD COLUMN share_place BIGINT;
-- The work that it pays for, and what the window would hold if it were full.
ALTER TABLE blocks ADD COLUMN window_high BIGINT;
ALTER TABLE blocks ADD COLUMN window_low BIGINT;
ALTER TABLE blocks ADD COLUMN length_high BIGINT;
ALTER TABLE blocks ADD COLUMN length_low BIGINT;
-- The state of the block that the books agree with.
ALTER TABLE blocks ADD COLUMN booked TEXT NOT NULL DEFAULT '';

-- The work of each worker in a stretch of the share log, up to and with one share. A stretch begins
-- where the one before it ends. `workers` holds `count` records of 24 bytes; their layout is in
-- src/rounds.rs.
CREATE TABLE buckets (
    pool BIGINT NOT NULL REFERENCES pools (id),
    scheme TEXT NOT NULL,
    last_seq BIGINT NOT NULL,
    last_place BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    shares BIGINT NOT NULL,
    work_high BIGINT NOT NULL,
    work_low BIGINT NOT NULL,
    count BIGINT NOT NULL,
    workers BLOB NOT NULL,
    PRIMARY KEY (pool, scheme, last_seq, last_place)
);

-- Who gets what of a block, and for how much work.
CREATE TABLE credits (
    block BIGINT NOT NULL REFERENCES blocks (seq),
    account BIGINT NOT NULL REFERENCES accounts (id),
    work_high BIGINT NOT NULL,
    work_low BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (block, account)
);
CREATE INDEX credits_by_account ON credits (account, block);

-- The fees of a block, in hundredths of a percent.
CREATE TABLE fees (
    block BIGINT NOT NULL REFERENCES blocks (seq),
    place BIGINT NOT NULL,
    name TEXT NOT NULL,
    hundredths BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (block, place)
);

-- What the books have done for a block: how often its credits were entered and what became of the
-- last entry, and how often the reserve was charged and that given back.
ALTER TABLE blocks ADD COLUMN credited BIGINT NOT NULL DEFAULT 0;
ALTER TABLE blocks ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
ALTER TABLE blocks ADD COLUMN charged BIGINT NOT NULL DEFAULT 0;
ALTER TABLE blocks ADD COLUMN restored BIGINT NOT NULL DEFAULT 0;
