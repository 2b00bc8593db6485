-- name: now
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint

-- name: appear
INSERT INTO claim (kind, name, owner, epoch, expires) VALUES ($1, $2, $2, 0, $3)
ON CONFLICT (kind, name) DO UPDATE SET owner = excluded.owner, expires = excluded.expires

-- name: disappear
DELETE FROM claim WHERE owner = $1 AND name = $1

-- name: living
SELECT kind, name FROM claim WHERE kind LIKE 'role %' AND expires > $1

-- name: bury
DELETE FROM claim WHERE kind LIKE 'role %' AND expires < $1

-- name: known
SELECT kind, name FROM claim

-- name: renew
UPDATE claim SET expires = $1 WHERE owner = $2 AND name <> $2

-- name: held
SELECT kind, name, epoch FROM claim WHERE owner = $1 AND name <> $1

-- name: offer
INSERT INTO claim (kind, name, owner, epoch, expires) VALUES ($1, $2, '', 0, $3) ON CONFLICT DO NOTHING

-- name: free
SELECT kind, name, expires FROM claim WHERE expires <= $1 AND kind NOT LIKE 'role %'

-- name: take
-- whoever is writing with it now has it
UPDATE claim SET owner = $1, epoch = epoch + 1, expires = $2
FROM (SELECT kind AS k, name AS n, owner AS before FROM claim
  WHERE kind = $3 AND name = $4 AND expires <= $5 FOR UPDATE SKIP LOCKED) AS old
WHERE kind = k AND name = n
RETURNING epoch, before

-- name: release
UPDATE claim SET owner = '', expires = $1 WHERE kind = $2 AND name = $3 AND owner = $4

-- name: waiting
SELECT m.id, m.channel, m.received, b.data, m.spool, m.origin, m.hops, m.attempt, m.edits
FROM unnest($1::text[]) AS mine (channel) CROSS JOIN LATERAL (
  SELECT * FROM message WHERE channel = mine.channel COLLATE "C" AND state = 'RECEIVED' ORDER BY id LIMIT $2) AS m
  LEFT JOIN body b ON b.message = m.id
ORDER BY m.id LIMIT $2

-- name: first_waiting
SELECT id FROM message WHERE channel = $1 AND state = 'RECEIVED' ORDER BY id LIMIT $2

-- name: fence
SELECT 1 FROM claim WHERE kind = $1 AND name = $2 AND owner = $3 AND epoch = $4 FOR UPDATE
