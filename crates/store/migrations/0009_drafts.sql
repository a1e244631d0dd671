-- A transaction that somebody else signs: a PSBT (BIP 174). It is kept before anyone is shown it.
ALTER TABLE payouts ADD COLUMN draft BLOB;

-- The block up to which the wallet's own history was compared with the payouts.
ALTER TABLE payers ADD COLUMN compared TEXT NOT NULL DEFAULT '';

-- What the wallet has sent that is no payout, and that an operator knows of.
CREATE TABLE foreign_sends (
    pool BIGINT NOT NULL REFERENCES pools (id),
    txid BLOB NOT NULL,
    reason TEXT NOT NULL,
    noted_ms BIGINT NOT NULL,
    PRIMARY KEY (pool, txid)
);
