-- One database holds the journal and the chart, so that one transaction can hold both.
-- Times are microseconds since the epoch, UTC. Written for SQLite; store/database/postgres.py translates the types.

CREATE TABLE setting (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT;

-- The journal: what arrived. `digest` tells a resend (same channel, key and bytes); NULL where the sender has no key.
CREATE TABLE message (
  id       INTEGER PRIMARY KEY,
  channel  TEXT NOT NULL,
  received INTEGER NOT NULL,
  key      TEXT,
  digest   BLOB,
  peer     TEXT NOT NULL,
  size     INTEGER NOT NULL,
  state    TEXT NOT NULL CHECK (state IN ('RECEIVED', 'STORED', 'STORED_RAW', 'ROUTED', 'UNROUTED', 'FILTERED',
                                          'QUARANTINED', 'FAILED', 'REFUSED')),
  code     TEXT,
  reason   TEXT,
  place    TEXT,
  kind     TEXT,
  patient  BLOB,
  settled  INTEGER,
  repeats  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX message_digest ON message (digest) WHERE digest IS NOT NULL;
CREATE INDEX message_waiting ON message (id) WHERE state = 'RECEIVED';
CREATE INDEX message_patient ON message (patient, id) WHERE patient IS NOT NULL;
CREATE INDEX message_key ON message (key, id) WHERE key IS NOT NULL;
CREATE INDEX message_refused ON message (peer) WHERE state = 'REFUSED';
CREATE INDEX message_troubled ON message (state, id)
  WHERE state IN ('UNROUTED', 'FILTERED', 'QUARANTINED', 'FAILED', 'REFUSED');

-- The bytes, apart from the row whose state changes; absent where a peer exceeded its cap of refused bytes.
CREATE TABLE body (
  message INTEGER PRIMARY KEY,
  data    BLOB NOT NULL
) STRICT;

-- The outbox. `body` NULL: the message's own bytes. A lane is an opaque number; its head goes first.
CREATE TABLE delivery (
  id          INTEGER PRIMARY KEY,
  message     INTEGER NOT NULL,
  route       TEXT NOT NULL,
  destination TEXT NOT NULL,
  lane        INTEGER NOT NULL,
  created     INTEGER NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('QUEUED', 'DELIVERED', 'HELD', 'DEAD')),
  attempts    INTEGER NOT NULL DEFAULT 0,
  due         INTEGER NOT NULL DEFAULT 0,
  tried       INTEGER,
  settled     INTEGER,
  code        TEXT,
  reason      TEXT,
  body        BLOB,
  reply       BLOB
) STRICT;
CREATE UNIQUE INDEX delivery_once ON delivery (message, route);
CREATE INDEX delivery_lane ON delivery (destination, lane, id) WHERE state IN ('QUEUED', 'HELD');
CREATE INDEX delivery_dead ON delivery (destination) WHERE state = 'DEAD';

-- The chart. version 0: known, but never visible yet. live 0: not visible now.
CREATE TABLE resource (
  id      INTEGER PRIMARY KEY,
  type    TEXT NOT NULL,
  key     BLOB NOT NULL,
  patient INTEGER,
  version INTEGER NOT NULL,
  live    INTEGER NOT NULL,
  head    BLOB NOT NULL,
  updated INTEGER NOT NULL,
  low     INTEGER,
  high    INTEGER,
  CHECK (live IN (0, 1) AND (live = 0 OR version > 0))
) STRICT;
CREATE UNIQUE INDEX resource_key ON resource (key);
CREATE INDEX resource_type ON resource (type, low);
CREATE INDEX resource_order ON resource (type, id) WHERE live = 1;
CREATE INDEX resource_patient ON resource (patient, type) WHERE patient IS NOT NULL;

CREATE TABLE fact (
  id          INTEGER PRIMARY KEY,
  resource    INTEGER NOT NULL,
  message     INTEGER NOT NULL,
  clock       BLOB NOT NULL,
  event       TEXT NOT NULL,
  cancels     TEXT NOT NULL,
  establishes INTEGER NOT NULL CHECK (establishes IN (0, 1)),
  elements    BLOB NOT NULL
) STRICT;
CREATE INDEX fact_resource ON fact (resource, clock);
CREATE UNIQUE INDEX fact_message ON fact (message, resource);

-- Every version is kept; body NULL: the resource is gone (withheld or retracted) from here on.
CREATE TABLE version (
  id       INTEGER PRIMARY KEY,
  resource INTEGER NOT NULL,
  number   INTEGER NOT NULL,
  message  INTEGER NOT NULL,
  updated  INTEGER NOT NULL,
  body     BLOB
) STRICT;
CREATE UNIQUE INDEX version_number ON version (resource, number);
CREATE INDEX version_message ON version (message);
CREATE INDEX version_updated ON version (updated);

-- Search: one row per searchable text; `kind` numbers are declared in store/search.py.
CREATE TABLE token (
  kind     INTEGER NOT NULL,
  value    TEXT NOT NULL,
  resource INTEGER NOT NULL,
  PRIMARY KEY (kind, value, resource)
) STRICT, WITHOUT ROWID;

-- Identity: evidence (link), what follows from it (survivor), and the messages that wait for better evidence.
CREATE TABLE link (
  message  INTEGER NOT NULL,
  prior    INTEGER NOT NULL,
  survivor INTEGER NOT NULL,
  kind     TEXT NOT NULL CHECK (kind IN ('merge', 'claim')),
  clock    BLOB NOT NULL,
  place    TEXT NOT NULL,
  CHECK (prior <> survivor),
  PRIMARY KEY (message, prior, survivor)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_prior ON link (prior, survivor, kind, clock);
CREATE INDEX link_survivor ON link (survivor, prior);

CREATE TABLE survivor (
  patient  INTEGER PRIMARY KEY,
  survivor INTEGER NOT NULL CHECK (survivor <> patient)
) STRICT;
CREATE INDEX survivor_survivor ON survivor (survivor);

CREATE TABLE withheld (
  message INTEGER PRIMARY KEY,
  place   TEXT NOT NULL
) STRICT;

-- Bearer tokens for the HTTP API: only their hashes.
CREATE TABLE token_holder (
  digest  BLOB PRIMARY KEY,
  name    TEXT NOT NULL,
  created INTEGER NOT NULL
) STRICT;
