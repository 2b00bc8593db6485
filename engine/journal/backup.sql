-- name: spooled
SELECT spool, size FROM message WHERE spool IS NOT NULL ORDER BY id

-- name: counts
SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM delivery), (SELECT count(*) FROM version),
  (SELECT count(*) FROM message WHERE spool IS NOT NULL)

-- name: destinations
SELECT DISTINCT destination FROM delivery
