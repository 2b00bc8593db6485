-- Wires that are not like MLLP: bodies in the spool, messages in parts, the chart as a source, queries, expectations.

-- SQLite cannot change a CHECK: the table is made anew. `spool`: the file that holds the bytes; `parent`, `position`:
-- which part of which message it is; `origin`: the system whose word changed the chart, `hops`: how many such changes
-- led here; `reply`: what the sender was answered, so that a resend is answered the same.
CREATE TABLE message_2 (
  id       INTEGER PRIMARY KEY,
  channel  TEXT NOT NULL,
  received INTEGER NOT NULL,
  key      TEXT,
  digest   BLOB,
  peer     TEXT NOT NULL,
  size     INTEGER NOT NULL,
  state    TEXT NOT NULL CHECK (state IN ('RECEIVED', 'SPLITTING', 'SPLIT', 'STORED', 'STORED_RAW', 'ROUTED', 'UNROUTED',
                                          'FILTERED', 'QUARANTINED', 'FAILED', 'REFUSED')),
  code     TEXT,
  reason   TEXT,
  place    TEXT,
  kind     TEXT,
  patient  BLOB,
  settled  INTEGER,
  repeats  INTEGER NOT NULL DEFAULT 0,
  spool    TEXT,
  parent   INTEGER,
  position INTEGER,
  origin   TEXT NOT NULL DEFAULT '',
  hops     INTEGER NOT NULL DEFAULT 0,
  reply    BLOB,
  CHECK ((parent IS NULL) = (position IS NULL))
) STRICT;
INSERT INTO message_2 (id, channel, received, key, digest, peer, size, state, code, reason, place, kind, patient, settled,
  repeats)
SELECT id, channel, received, key, digest, peer, size, state, code, reason, place, kind, patient, settled, repeats
FROM message;
DROP TABLE message;
ALTER TABLE message_2 RENAME TO message;
CREATE UNIQUE INDEX message_digest ON message (digest) WHERE digest IS NOT NULL;
CREATE UNIQUE INDEX message_part ON message (parent, position) WHERE parent IS NOT NULL;
CREATE INDEX message_waiting ON message (id) WHERE state = 'RECEIVED';
CREATE INDEX message_splitting ON message (id) WHERE state = 'SPLITTING';
CREATE INDEX message_spool ON message (spool) WHERE spool IS NOT NULL;
CREATE INDEX message_patient ON message (patient, id) WHERE patient IS NOT NULL;
CREATE INDEX message_key ON message (key, id) WHERE key IS NOT NULL;
CREATE INDEX message_refused ON message (peer) WHERE state = 'REFUSED';
CREATE INDEX message_troubled ON message (state, id)
  WHERE state IN ('UNROUTED', 'FILTERED', 'QUARANTINED', 'FAILED', 'REFUSED');

-- An answer that must follow a delivery. `due` NULL: not delivered yet. `message` is the answer, `said` its kind.
CREATE TABLE expectation (
  delivery INTEGER PRIMARY KEY,
  answers  TEXT NOT NULL,
  within   INTEGER NOT NULL,
  due      INTEGER,
  message  INTEGER,
  said     TEXT,
  settled  INTEGER
) STRICT;
CREATE INDEX expectation_open ON expectation (due) WHERE settled IS NULL AND due IS NOT NULL;

-- What was answered to queries, and about whom.
CREATE TABLE audit (
  id      INTEGER PRIMARY KEY,
  at      INTEGER NOT NULL,
  channel TEXT NOT NULL,
  peer    TEXT NOT NULL,
  kind    TEXT NOT NULL,
  hits    INTEGER NOT NULL
) STRICT;
CREATE TABLE audited (
  audit   INTEGER NOT NULL,
  patient BLOB NOT NULL,
  PRIMARY KEY (patient, audit)
) STRICT, WITHOUT ROWID;
