CREATE FUNCTION transfer_is_entered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT state FROM entries WHERE seq = NEW.entry) IS DISTINCT FROM 'pending'
        OR (SELECT COUNT(*) FROM accounts JOIN entries ON accounts.pool = entries.pool
            WHERE entries.seq = NEW.entry AND accounts.id IN (NEW.debit, NEW.credit)) <> 2
    THEN RAISE EXCEPTION 'a transfer is part of a pending entry of its pool'; END IF;
    UPDATE accounts SET pending = pending - NEW.amount WHERE id = NEW.debit;
    UPDATE accounts SET pending = pending + NEW.amount WHERE id = NEW.credit;
    RETURN NEW;
END $$;
CREATE TRIGGER transfer_is_entered BEFORE INSERT ON transfers
FOR EACH ROW EXECUTE FUNCTION transfer_is_entered();

CREATE FUNCTION entry_begins_pending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'pending' THEN RAISE EXCEPTION 'an entry begins pending'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER entry_begins_pending BEFORE INSERT ON entries
FOR EACH ROW EXECUTE FUNCTION entry_begins_pending();

CREATE FUNCTION entry_is_settled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'pending' OR NEW.state = 'pending' OR NEW.settled_ms IS NULL
        OR NEW.seq <> OLD.seq OR NEW.pool <> OLD.pool OR NEW.id <> OLD.id
        OR NEW.reason <> OLD.reason OR NEW.made_ms <> OLD.made_ms
    THEN RAISE EXCEPTION 'an entry is settled once, and is not changed otherwise'; END IF;
    UPDATE accounts SET
        pending = pending - moved.amount,
        posted = posted + CASE NEW.state WHEN 'posted' THEN moved.amount ELSE 0 END
    FROM (
        SELECT account, CAST(SUM(amount) AS BIGINT) AS amount FROM (
            SELECT credit AS account, amount FROM transfers WHERE entry = NEW.seq
            UNION ALL
            SELECT debit AS account, -amount FROM transfers WHERE entry = NEW.seq
        ) AS sides GROUP BY account
    ) AS moved
    WHERE accounts.id = moved.account;
    RETURN NEW;
END $$;
CREATE TRIGGER entry_is_settled BEFORE UPDATE ON entries
FOR EACH ROW EXECUTE FUNCTION entry_is_settled();

CREATE FUNCTION is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'what was entered is never changed or removed'; END $$;
CREATE TRIGGER transfer_is_kept BEFORE UPDATE OR DELETE ON transfers
FOR EACH ROW EXECUTE FUNCTION is_kept();
CREATE TRIGGER entry_is_kept BEFORE DELETE ON entries
FOR EACH ROW EXECUTE FUNCTION is_kept();
CREATE TRIGGER account_is_kept BEFORE DELETE ON accounts
FOR EACH ROW EXECUTE FUNCTION is_kept();
