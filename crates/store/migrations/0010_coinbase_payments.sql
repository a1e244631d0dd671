-- Blocks that have paid miners by themselves: whose work they were split by, up to this place in the
-- order of shares, and what their coinbase paid to whom.
ALTER TABLE blocks ADD COLUMN split_seq BIGINT;
ALTER TABLE blocks ADD COLUMN split_place BIGINT;

CREATE TABLE coinbase_payments (
    block BIGINT NOT NULL REFERENCES blocks (seq),
    account BIGINT NOT NULL REFERENCES accounts (id),
    amount BIGINT NOT NULL CHECK (amount > 0),
    PRIMARY KEY (block, account)
);
