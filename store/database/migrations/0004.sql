-- Which configuration processed a message, and what an operator has paused.

-- `hash` is the whole configuration's; `at` when it first ran.
CREATE TABLE configuration (
  id   INTEGER PRIMARY KEY,
  hash TEXT NOT NULL,
  at   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX configuration_hash ON configuration (hash);
ALTER TABLE message ADD COLUMN configuration INTEGER;

-- A channel that takes nothing, or a destination that is sent nothing, until somebody resumes it.
CREATE TABLE pause (
  kind TEXT NOT NULL CHECK (kind IN ('channel', 'destination')),
  name TEXT NOT NULL,
  at   INTEGER NOT NULL,
  who  TEXT NOT NULL,
  why  TEXT NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
