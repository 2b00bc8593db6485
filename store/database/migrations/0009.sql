-- How many messages each channel received in each hour (hours since the epoch): what is usual at this hour of the week.
CREATE TABLE usual (
  channel  TEXT NOT NULL,
  hour     INTEGER NOT NULL,
  messages INTEGER NOT NULL,
  PRIMARY KEY (channel, hour)
) STRICT, WITHOUT ROWID;
