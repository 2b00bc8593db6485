-- name: waiting
-- how many would go now, at most so many, and since when the first of them waits
SELECT count(*), coalesce(min(created), 0) FROM (SELECT created FROM delivery
  WHERE destination = $1 AND lane = $2 AND state IN ('QUEUED', 'HELD') ORDER BY id LIMIT $3) AS next

-- name: freeze
UPDATE delivery SET batch = $1 WHERE id IN (SELECT id FROM delivery
  WHERE destination = $2 AND lane = $3 AND state IN ('QUEUED', 'HELD') ORDER BY id LIMIT $4) AND batch IS NULL

-- name: members
SELECT d.id, d.message, d.lane, d.shared, d.state, d.attempts, d.due, d.tried, coalesce(d.body, b.data),
  CASE WHEN d.body IS NULL THEN m.spool END, NULL, d.batch
FROM delivery d JOIN message m ON m.id = d.message LEFT JOIN body b ON b.message = d.message
WHERE d.batch = (SELECT batch FROM delivery WHERE id = $1) AND d.destination = $2 AND d.lane = $3 AND d.state = 'QUEUED'
ORDER BY d.id

-- name: created
SELECT created FROM delivery WHERE id = $1
