-- Alerts: one row for each time that something was wrong; at most one of a rule and subject is open.
CREATE TABLE alert (
  id      INTEGER PRIMARY KEY,
  rule    TEXT NOT NULL,
  subject TEXT NOT NULL,
  text    TEXT NOT NULL,
  opened  INTEGER NOT NULL,
  seen    INTEGER NOT NULL,
  told    INTEGER NOT NULL,
  closed  INTEGER,
  who     TEXT,
  why     TEXT
) STRICT;
CREATE UNIQUE INDEX alert_open ON alert (rule, subject) WHERE closed IS NULL;

-- Who must still be told of what, by which notifier; gone when it was told.
CREATE TABLE notice (
  id       INTEGER PRIMARY KEY,
  alert    INTEGER NOT NULL,
  what     TEXT NOT NULL CHECK (what IN ('OPENED', 'OPEN', 'CLOSED')),
  notifier TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  due      INTEGER NOT NULL
) STRICT;
CREATE INDEX notice_due ON notice (due);

CREATE TABLE mute (
  rule    TEXT NOT NULL,
  subject TEXT NOT NULL,
  until   INTEGER NOT NULL,
  who     TEXT NOT NULL,
  why     TEXT NOT NULL,
  PRIMARY KEY (rule, subject)
) STRICT, WITHOUT ROWID;

-- When each channel was last heard of: a restart does not make it silent, nor heard.
CREATE TABLE heard (
  channel TEXT PRIMARY KEY,
  at      INTEGER NOT NULL
) STRICT;
