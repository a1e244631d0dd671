-- Who may not connect for a while. An address is an IPv4 address, or the first of a /64 of IPv6.

CREATE TABLE bans (
    pool BIGINT NOT NULL REFERENCES pools (id),
    address TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    shares BIGINT NOT NULL,
    invalid BIGINT NOT NULL,
    PRIMARY KEY (pool, address)
);
