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
SELECT state, count(*) FROM message WHERE parent = $1 GROUP BY state ORDER BY state

-- name: troubled_parts
SELECT id, position, state, code, place FROM message
WHERE parent = $1 AND state IN ('HELD', 'UNROUTED', 'FILTERED', 'QUARANTINED', 'FAILED', 'REFUSED')
ORDER BY position LIMIT $2

-- name: part_of
SELECT parent, position FROM message WHERE id = $1 AND parent IS NOT NULL

-- name: body
SELECT data FROM body WHERE message = $1

-- name: deliveries
SELECT id, route, destination, lane, state, attempts, created, due, settled, code, reason
FROM delivery WHERE message = $1 ORDER BY id

-- name: expectations
SELECT e.delivery, d.destination, d.message, e.answers, e.due, e.message, e.said, e.settled
FROM expectation e JOIN delivery d ON d.id = e.delivery ORDER BY e.delivery DESC LIMIT $1

-- name: overdue
SELECT e.delivery, d.destination, d.message, e.answers, e.due, e.message, e.said, e.settled
FROM expectation e JOIN delivery d ON d.id = e.delivery
WHERE e.settled IS NULL AND e.due IS NOT NULL AND e.due < $1 ORDER BY e.due LIMIT $2

-- name: open
SELECT e.delivery, d.destination, d.message, e.answers, e.due, e.message, e.said, e.settled
FROM expectation e JOIN delivery d ON d.id = e.delivery
WHERE e.settled IS NULL AND e.due IS NOT NULL AND e.due >= $1 ORDER BY e.due LIMIT $2

-- name: undelivered
-- among so many of the newest
SELECT e.delivery, d.destination, d.message, e.answers, e.due, e.message, e.said, e.settled
FROM (SELECT * FROM expectation ORDER BY delivery DESC LIMIT $1) e JOIN delivery d ON d.id = e.delivery
WHERE e.settled IS NULL AND e.due IS NULL ORDER BY e.delivery DESC LIMIT $2

-- name: answered
SELECT e.delivery, d.destination, d.message, e.answers, e.due, e.message, e.said, e.settled
FROM (SELECT * FROM expectation ORDER BY delivery DESC LIMIT $1) e JOIN delivery d ON d.id = e.delivery
WHERE e.settled IS NOT NULL ORDER BY e.delivery DESC LIMIT $2

-- name: expected
SELECT e.delivery, d.destination, d.message, e.answers, e.due, e.message, e.said, e.settled
FROM delivery d JOIN expectation e ON e.delivery = d.id WHERE d.message = $1

-- name: awaited
SELECT d.destination, count(*), sum(CASE WHEN e.due < $1 THEN 1 ELSE 0 END)
FROM expectation e JOIN delivery d ON d.id = e.delivery
WHERE e.settled IS NULL AND e.due IS NOT NULL GROUP BY d.destination
