-- name: deliveries
SELECT d.id, d.message, d.route, d.destination, d.lane, d.state, d.attempts, d.created, d.due, d.settled, d.code, d.reason
FROM delivery d WHERE d.id < $1

-- name: not_before
d.id >= $1

-- name: destination
d.destination = $1

-- name: state
d.state = $1

-- name: waiting
-- as the index says it, and then which of them
d.state IN ('QUEUED', 'HELD') AND d.state = $1

-- name: code
d.code = $1

-- name: message
d.message = $1

-- name: lane
d.lane = $1

-- name: since
d.created >= $1

-- name: page
ORDER BY d.id DESC LIMIT $1

-- name: newest
SELECT coalesce(max(id), 0) FROM delivery

-- name: one
SELECT id, message, route, destination, lane, state, attempts, created, due, settled, code, reason FROM delivery
WHERE id = $1

-- name: retry
UPDATE delivery SET state = 'QUEUED', due = 0, tried = NULL, settled = NULL
WHERE id = $1 AND state IN ('QUEUED', 'HELD', 'PARKED') RETURNING id

-- name: release
UPDATE delivery SET state = 'QUEUED', due = 0, tried = NULL, settled = NULL
WHERE id = $1 AND state = 'HELD' RETURNING id

-- name: park
UPDATE delivery SET state = 'PARKED', settled = $1 WHERE id = $2 AND state IN ('QUEUED', 'HELD') RETURNING id

-- name: cancel
UPDATE delivery SET state = 'CANCELLED', settled = $1 WHERE id = $2 AND state IN ('QUEUED', 'HELD', 'PARKED')
RETURNING id
