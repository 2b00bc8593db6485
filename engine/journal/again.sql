-- name: reprocess
UPDATE message SET state = CASE WHEN state = 'SPLIT' THEN 'SPLITTING' ELSE 'RECEIVED' END, attempt = attempt + $1,
  code = NULL, reason = NULL, place = NULL
WHERE id = $2 AND state NOT IN ('RECEIVED', 'SPLITTING', 'HELD')
  AND (spool IS NOT NULL OR EXISTS (SELECT 1 FROM body WHERE message = $2))
RETURNING id

-- name: resend
INSERT INTO delivery (message, route, destination, lane, created, state, body)
SELECT d.message, d.route || '~' || (1 + (SELECT count(*) FROM delivery o
    WHERE o.message = d.message AND substr(o.route, 1, length(d.route) + 1) = d.route || '~')),
  d.destination, d.lane, $1, 'QUEUED', d.body
FROM delivery d WHERE d.message = $2 AND d.state IN ('DELIVERED', 'PARKED', 'CANCELLED') AND d.route NOT LIKE '%~%'
  AND (d.body IS NOT NULL OR EXISTS (SELECT 1 FROM message m LEFT JOIN body b ON b.message = m.id
    WHERE m.id = $2 AND (m.spool IS NOT NULL OR b.message IS NOT NULL)))
  AND (d.destination = $3 OR $3 = '')
RETURNING destination, lane

-- name: edit
INSERT INTO message (channel, received, key, peer, size, state, origin, hops, edits)
SELECT channel, $1, key, peer, $2, 'RECEIVED', origin, hops, id FROM message
WHERE id = $3 AND spool IS NULL AND state IN ('QUARANTINED', 'FAILED', 'REFUSED', 'FILTERED', 'UNROUTED') RETURNING id

-- name: edited
SELECT edits FROM message WHERE id = $1

-- name: edits
SELECT id FROM message WHERE edits = $1 ORDER BY id
