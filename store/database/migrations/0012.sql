-- How long answers took lately, as each process saw it: the 95th percentile in seconds, and of how many.
CREATE TABLE latency (
  process TEXT NOT NULL,
  subject TEXT NOT NULL,
  at      INTEGER NOT NULL,
  seconds REAL NOT NULL,
  answers INTEGER NOT NULL,
  PRIMARY KEY (process, subject)
) STRICT, WITHOUT ROWID;
