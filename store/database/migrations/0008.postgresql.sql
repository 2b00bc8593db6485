-- What one process at a time does, of those that run on one database: a channel, a destination, a source that looks
-- for itself. `owner` is empty where it was let go; `epoch` counts the owners, and who has an older one writes nothing
-- any more. `expires`: microseconds since the epoch, by the server's clock.
CREATE TABLE claim (
  kind    TEXT NOT NULL,
  name    TEXT NOT NULL,
  owner   TEXT NOT NULL,
  epoch   INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT;

-- The waiting messages of the channels that a process has claimed.
CREATE INDEX message_of_channel ON message (channel, id) WHERE state = 'RECEIVED';

-- The spool: what is too big for a row, in pieces of a megabyte. `created`: microseconds since the epoch.
CREATE TABLE chunk (
  name     TEXT NOT NULL,
  position INTEGER NOT NULL,
  created  INTEGER NOT NULL,
  data     BLOB NOT NULL,
  PRIMARY KEY (name, position)
) STRICT;
