-- How hard a block is where the chain counts it in hashes: CryptoNote's coins. `bits` is 0 there.

ALTER TABLE blocks ADD COLUMN hashes BIGINT CHECK (hashes > 0);
ALTER TABLE prices ADD COLUMN hashes BIGINT CHECK (hashes > 0);
