-- The sequence number protocol (HL7 v2.5.1, 2.10.1): by link the number that is next, and which delivery may have used it.
CREATE TABLE sequence (
  link     TEXT PRIMARY KEY,
  next     INTEGER NOT NULL,
  delivery INTEGER
) STRICT;
