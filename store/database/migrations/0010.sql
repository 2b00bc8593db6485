-- Deliveries that go out together, by the first of them: what was tried once as one batch is tried as the same batch again.
ALTER TABLE delivery ADD COLUMN batch INTEGER;
CREATE INDEX delivery_batch ON delivery (batch) WHERE batch IS NOT NULL;
