-- name: repeats
SELECT repeats FROM message WHERE id = $1

-- name: again
-- what was answered last, once more; what still waits to be delivered will arrive by itself
INSERT INTO delivery (message, route, destination, lane, created, state, body)
SELECT d.message, substr(d.route, 1, length(d.route) - 3) || '+' || m.repeats || substr(d.route, length(d.route) - 2),
  d.destination, d.lane, $1, 'QUEUED', d.body
FROM delivery d JOIN message m ON m.id = d.message
WHERE d.message = $2 AND d.state = 'DELIVERED' AND d.id IN (SELECT max(o.id) FROM delivery o
  WHERE o.message = $2 AND o.route LIKE '%:A_' GROUP BY o.destination)
ON CONFLICT (message, route) DO NOTHING RETURNING destination, lane
