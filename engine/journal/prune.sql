-- name: prunable
-- at their end, with an effect or none but by intent, and nothing of them on its way or waiting for a person
SELECT m.id, m.received, m.spool FROM message m
WHERE m.id > $1 AND m.received < $2
  AND m.state IN ('STORED', 'STORED_RAW', 'ROUTED', 'UNROUTED', 'FILTERED', 'SPLIT', 'REFUSED')
  AND (m.channel = $3 OR $3 = '')
  AND (m.spool IS NOT NULL OR EXISTS (SELECT 1 FROM body b WHERE b.message = m.id)
    OR EXISTS (SELECT 1 FROM delivery d WHERE d.message = m.id AND d.body IS NOT NULL))
  AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.message = m.id AND d.state IN ('QUEUED', 'HELD', 'PARKED'))
  AND NOT EXISTS (SELECT 1 FROM delivery d JOIN expectation e ON e.delivery = d.id
    WHERE d.message = m.id AND e.settled IS NULL)
  AND NOT EXISTS (SELECT 1 FROM message p WHERE p.parent = m.id AND p.state IN ('RECEIVED', 'HELD'))
ORDER BY m.id LIMIT $4

-- name: forget_body
DELETE FROM body WHERE message = $1

-- name: forget_file
UPDATE message SET spool = NULL WHERE id = $1

-- name: forget_sent
UPDATE delivery SET body = NULL, reply = NULL WHERE message = $1 AND (body IS NOT NULL OR reply IS NOT NULL)
