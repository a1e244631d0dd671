-- Keys of the operator, of which the SHA-256 alone is kept, and a log of what operators did: it outlives
-- the keys.

CREATE TABLE api_keys (
    name TEXT NOT NULL PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    made_ms BIGINT NOT NULL,
    used_ms BIGINT
);

CREATE TABLE operator_log (
    seq INTEGER PRIMARY KEY,
    time_ms BIGINT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    subject TEXT NOT NULL
);

INSERT INTO counters (name, next) VALUES ('act', 1);
