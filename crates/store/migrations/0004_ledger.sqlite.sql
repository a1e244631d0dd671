CREATE TRIGGER transfer_is_entered BEFORE INSERT ON transfers
WHEN (SELECT state FROM entries WHERE seq = NEW.entry) IS NOT 'pending'
    OR (SELECT COUNT(*) FROM accounts JOIN entries ON accounts.pool = entries.pool
        WHERE entries.seq = NEW.entry AND accounts.id IN (NEW.debit, NEW.credit)) <> 2
BEGIN SELECT RAISE(ABORT, 'a transfer is part of a pending entry of its pool'); END;

CREATE TRIGGER transfer_is_pending AFTER INSERT ON transfers
BEGIN
    UPDATE accounts SET pending = pending - NEW.amount WHERE id = NEW.debit;
    UPDATE accounts SET pending = pending + NEW.amount WHERE id = NEW.credit;
END;

CREATE TRIGGER entry_begins_pending BEFORE INSERT ON entries WHEN NEW.state <> 'pending'
BEGIN SELECT RAISE(ABORT, 'an entry begins pending'); END;

CREATE TRIGGER entry_is_settled_once BEFORE UPDATE ON entries
WHEN OLD.state <> 'pending' OR NEW.state = 'pending' OR NEW.settled_ms IS NULL
    OR NEW.seq <> OLD.seq OR NEW.pool <> OLD.pool OR NEW.id <> OLD.id
    OR NEW.reason <> OLD.reason OR NEW.made_ms <> OLD.made_ms
BEGIN SELECT RAISE(ABORT, 'an entry is settled once, and is not changed otherwise'); END;

CREATE TRIGGER entry_is_settled AFTER UPDATE ON entries
BEGIN
    UPDATE accounts SET
        pending = pending - moved.amount,
        posted = posted + CASE NEW.state WHEN 'posted' THEN moved.amount ELSE 0 END
    FROM (
        SELECT account, SUM(amount) AS amount FROM (
            SELECT credit AS account, amount FROM transfers WHERE entry = NEW.seq
            UNION ALL
            SELECT debit AS account, -amount FROM transfers WHERE entry = NEW.seq
        ) GROUP BY account
    ) AS moved
    WHERE accounts.id = moved.account;
END;

CREATE TRIGGER transfer_stays BEFORE UPDATE ON transfers
BEGIN SELECT RAISE(ABORT, 'a transfer is never changed'); END;
CREATE TRIGGER transfer_is_kept BEFORE DELETE ON transfers
BEGIN SELECT RAISE(ABORT, 'a transfer is never removed'); END;
CREATE TRIGGER entry_is_kept BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'an entry is never removed'); END;
CREATE TRIGGER account_is_kept BEFORE DELETE ON accounts
BEGIN SELECT RAISE(ABORT, 'an account is never removed'); END;
