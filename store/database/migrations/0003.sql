-- Lanes that wait, and what an operator does about them.

-- SQLite cannot change a CHECK: the tables are made anew. A message HELD waits behind one of its lane that is in
-- trouble (`head: block`); `lane` is set of both, while it lasts. A delivery PARKED was set aside and its lane went on,
-- CANCELLED was set aside for good. `shared`: it stands in other lanes too (a merge: those of both patients).
CREATE TABLE message_3 (
  id       INTEGER PRIMARY KEY,
  channel  TEXT NOT NULL,
  received INTEGER NOT NULL,
  key      TEXT,
  digest   BLOB,
  peer     TEXT NOT NULL,
  size     INTEGER NOT NULL,
  state    TEXT NOT NULL CHECK (state IN ('RECEIVED', 'SPLITTING', 'SPLIT', 'HELD', 'STORED', 'STORED_RAW', 'ROUTED',
                                          'UNROUTED', 'FILTERED', 'QUARANTINED', 'FAILED', 'REFUSED')),
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
  lane     INTEGER,
  CHECK ((parent IS NULL) = (position IS NULL))
) STRICT;
INSERT INTO message_3 (id, channel, received, key, digest, peer, size, state, code, reason, place, kind, patient, settled,
  repeats, spool, parent, position, origin, hops, reply)
SELECT id, channel, received, key, digest, peer, size, state, code, reason, place, kind, patient, settled,
  repeats, spool, parent, position, origin, hops, reply
FROM message;
DROP TABLE message;
ALTER TABLE message_3 RENAME TO message;
CREATE UNIQUE INDEX message_digest ON message (digest) WHERE digest IS NOT NULL;
CREATE UNIQUE INDEX message_part ON message (parent, position) WHERE parent IS NOT NULL;
CREATE INDEX message_waiting ON message (id) WHERE state = 'RECEIVED';
CREATE INDEX message_splitting ON message (id) WHERE state = 'SPLITTING';
CREATE INDEX message_lane ON message (lane, id) WHERE lane IS NOT NULL;
CREATE INDEX message_spool ON message (spool) WHERE spool IS NOT NULL;
CREATE INDEX message_patient ON message (patient, id) WHERE patient IS NOT NULL;
CREATE INDEX message_key ON message (key, id) WHERE key IS NOT NULL;
CREATE INDEX message_refused ON message (peer) WHERE state = 'REFUSED';
CREATE INDEX message_troubled ON message (state, id)
  WHERE state IN ('HELD', 'UNROUTED', 'FILTERED', 'QUARANTINED', 'FAILED', 'REFUSED');

CREATE TABLE delivery_3 (
  id          INTEGER PRIMARY KEY,
  message     INTEGER NOT NULL,
  route       TEXT NOT NULL,
  destination TEXT NOT NULL,
  lane        INTEGER NOT NULL,
  shared      INTEGER NOT NULL DEFAULT 0 CHECK (shared IN (0, 1)),
  created     INTEGER NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('QUEUED', 'DELIVERED', 'HELD', 'PARKED', 'CANCELLED')),
  attempts    INTEGER NOT NULL DEFAULT 0,
  due         INTEGER NOT NULL DEFAULT 0,
  tried       INTEGER,
  settled     INTEGER,
  code        TEXT,
  reason      TEXT,
  body        BLOB,
  reply       BLOB
) STRICT;
INSERT INTO delivery_3 (id, message, route, destination, lane, created, state, attempts, due, tried, settled, code,
  reason, body, reply)
SELECT id, message, route, destination, lane, created, CASE state WHEN 'DEAD' THEN 'PARKED' ELSE state END, attempts,
  due, tried, settled, code, reason, body, reply
FROM delivery;
DROP TABLE delivery;
ALTER TABLE delivery_3 RENAME TO delivery;
CREATE UNIQUE INDEX delivery_once ON delivery (message, route);
CREATE INDEX delivery_lane ON delivery (destination, lane, id) WHERE state IN ('QUEUED', 'HELD');
CREATE INDEX delivery_failing ON delivery (destination, id) WHERE state = 'QUEUED' AND attempts > 0;
CREATE INDEX delivery_held ON delivery (destination, id) WHERE state = 'HELD';
CREATE INDEX delivery_parked ON delivery (destination, id) WHERE state = 'PARKED';

-- The other lanes in which a delivery stands while it `waits`: it goes when it is the head of each.
CREATE TABLE shared (
  destination TEXT NOT NULL,
  lane        INTEGER NOT NULL,
  delivery    INTEGER NOT NULL,
  waits       INTEGER NOT NULL DEFAULT 1 CHECK (waits IN (0, 1)),
  PRIMARY KEY (destination, lane, delivery)
) STRICT, WITHOUT ROWID;
CREATE INDEX shared_delivery ON shared (delivery);

-- One chain of what was done and read, by whom and why: each hash holds the one before it; `rows` is JSON. What was
-- answered to queries before has no hash.
CREATE TABLE audit_3 (
  id   INTEGER PRIMARY KEY,
  at   INTEGER NOT NULL,
  who  TEXT NOT NULL,
  what TEXT NOT NULL,
  rows TEXT NOT NULL,
  why  TEXT NOT NULL,
  hash BLOB NOT NULL
) STRICT;
INSERT INTO audit_3 (id, at, who, what, rows, why, hash)
SELECT id, at, peer, 'query', '{"channel":"' || channel || '","hits":' || hits || ',"kind":"' || kind || '"}', '', CAST('' AS BLOB)
FROM audit;
DROP TABLE audit;
ALTER TABLE audit_3 RENAME TO audit;
