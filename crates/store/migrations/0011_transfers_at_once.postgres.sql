-- The transfers of a statement are checked and added up together: one row after the other it took
-- ten times as long for 10,000 of them.

DROP TRIGGER transfer_is_entered ON transfers;
DROP FUNCTION transfer_is_entered();

CREATE FUNCTION transfers_are_entered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM entered
        LEFT JOIN entries ON entries.seq = entered.entry AND entries.state = 'pending'
        LEFT JOIN accounts AS debited
            ON debited.id = entered.debit AND debited.pool = entries.pool
        LEFT JOIN accounts AS credited
            ON credited.id = entered.credit AND credited.pool = entries.pool
        WHERE debited.id IS NULL OR credited.id IS NULL
    ) THEN RAISE EXCEPTION 'a transfer is part of a pending entry of its pool'; END IF;
    UPDATE accounts SET pending = pending + moved.amount
    FROM (
        SELECT account, CAST(SUM(amount) AS BIGINT) AS amount FROM (
            SELECT credit AS account, amount FROM entered
            UNION ALL
            SELECT debit AS account, -amount FROM entered
        ) AS sides GROUP BY account
    ) AS moved
    WHERE accounts.id = moved.account;
    RETURN NULL;
END $$;
CREATE TRIGGER transfers_are_entered AFTER INSERT ON transfers
REFERENCING NEW TABLE AS entered
FOR EACH STATEMENT EXECUTE FUNCTION transfers_are_entered();
