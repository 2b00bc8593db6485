-- name: held
SELECT lane, id, message, attempts, due, created, code, reason FROM delivery
WHERE destination = $1 AND state = 'HELD' ORDER BY id LIMIT $2

-- name: failing
SELECT lane, id, message, attempts, due, created, code, reason FROM delivery
WHERE destination = $1 AND state = 'QUEUED' AND attempts > 0 ORDER BY id LIMIT $2

-- name: first
SELECT lane, id, message, attempts, due, created, code, reason FROM delivery
WHERE destination = $1 AND lane = $2 AND state IN ('QUEUED', 'HELD') ORDER BY id LIMIT 1

-- name: depth
SELECT count(*) FROM (SELECT 1 FROM delivery
  WHERE destination = $1 AND lane = $2 AND state IN ('QUEUED', 'HELD') LIMIT $3) AS counted

-- name: outbox
-- in the order of the index: nothing is sorted, however much waits
SELECT destination, sum(CASE WHEN state = 'QUEUED' THEN 1 ELSE 0 END), min(CASE WHEN state = 'QUEUED' THEN created END),
  sum(CASE WHEN state = 'HELD' THEN 1 ELSE 0 END), min(CASE WHEN state = 'HELD' THEN created END)
FROM delivery WHERE state IN ('QUEUED', 'HELD') GROUP BY destination

-- name: parked
SELECT destination, count(*), min(created) FROM delivery WHERE state = 'PARKED' GROUP BY destination

-- name: inbox
SELECT channel, count(*), min(received) FROM message WHERE state = 'RECEIVED' GROUP BY channel

-- name: waiting
SELECT channel, count(*), min(received) FROM message WHERE lane IS NOT NULL AND state = 'HELD' GROUP BY channel

-- name: blocking
SELECT m.lane, m.channel, m.id, m.state, m.code, m.place, m.received,
  (SELECT count(*) FROM message h WHERE h.lane = m.lane AND h.state = 'HELD')
FROM message m WHERE m.lane IS NOT NULL AND m.state IN ('QUARANTINED', 'FAILED') ORDER BY m.lane, m.id LIMIT $1
