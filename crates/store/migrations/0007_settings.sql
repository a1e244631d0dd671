-- Settings of payouts, changed by their owners with signed texts.

-- Where the balance is paid; where the owner mines for if nothing is said.
ALTER TABLE payout_settings ADD COLUMN pay_to TEXT;
-- When that last changed.
ALTER TABLE payout_settings ADD COLUMN pay_to_since_ms BIGINT;
-- The number of the last text that was heeded: only a higher one is.
ALTER TABLE payout_settings ADD COLUMN number BIGINT NOT NULL DEFAULT 0;
-- The last text that changed settings, and its proof, for whoever doubts it.
ALTER TABLE payout_settings ADD COLUMN signed_text TEXT NOT NULL DEFAULT '';
ALTER TABLE payout_settings ADD COLUMN signature TEXT NOT NULL DEFAULT '';
