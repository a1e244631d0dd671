-- What is taken from rewards before the miners, by scheme, and since when: for rounds that began no earlier
-- than with that share, or, where shares are paid for as they come, for those of that height on.
CREATE TABLE fee_terms (
    pool BIGINT NOT NULL REFERENCES pools (id),
    scheme TEXT NOT NULL,
    since_seq BIGINT NOT NULL,
    since_place BIGINT NOT NULL,
    since_height BIGINT NOT NULL,
    -- In the order of the configuration. One of them gets what cannot be split.
    place BIGINT NOT NULL,
    name TEXT NOT NULL,
    hundredths BIGINT NOT NULL,
    keeps_rest BIGINT NOT NULL,
    PRIMARY KEY (pool, scheme, since_seq, since_place, place)
);
