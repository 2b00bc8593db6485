-- name: message
SELECT id, channel, received, key, peer, size, state, code, reason, place, kind, settled, repeats
FROM message WHERE id = $1

-- name: newest
SELECT coalesce(max(id), 0) FROM message

-- name: received_from
SELECT received FROM message WHERE id >= $1 ORDER BY id LIMIT 1

-- name: spooled
SELECT spool FROM message WHERE id = $1 AND spool IS NOT NULL

-- name: parts
SELECT count(*), coalesce(sum(CASE WHEN state IN ('RECEIVED', 'SPLITTING') THEN 1 ELSE 0 END), 0)
FROM message WHERE parent = $1

-- name: part_of
SELECT parent, position FROM message WHERE id = $1 AND parent IS NOT NULL

-- name: body
SELECT data FROM body WHERE message = $1

-- name: deliveries
SELECT id, route, destination, lane, state, attempts, created, due, settled, code, reason
FROM delivery WHERE message = $1 ORDER BY id

-- name: inbox
SELECT channel, count(*), min(received) FROM message WHERE state = 'RECEIVED' GROUP BY channel

-- name: outbox
SELECT destination, state, count(*), min(created) FROM delivery WHERE state IN ('QUEUED', 'HELD')
GROUP BY destination, state

-- name: dead
SELECT destination, count(*), min(created) FROM delivery WHERE state = 'DEAD' GROUP BY destination
