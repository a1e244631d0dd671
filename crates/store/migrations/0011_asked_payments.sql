-- Whether the owner has asked for a payment: a request is used up by the payout that is made of it, and
-- holds again if that one is released.
ALTER TABLE payments ADD COLUMN requested BIGINT NOT NULL DEFAULT 0;
