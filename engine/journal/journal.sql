-- name: append
INSERT INTO message (channel, received, key, digest, peer, size, state, code, reason, place, spool)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING RETURNING id

-- name: append_part
INSERT INTO message (channel, received, key, peer, size, state, code, reason, place, parent, position)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING RETURNING id

-- name: append_told
INSERT INTO message (channel, received, key, digest, peer, size, state, patient, origin, hops)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT DO NOTHING RETURNING id

-- name: append_body
INSERT INTO body (message, data) VALUES ($1, $2)

-- name: same
SELECT id, state, reply FROM message WHERE digest = $1

-- name: repeat
UPDATE message SET repeats = repeats + 1 WHERE id = $1

-- name: renew
UPDATE message SET state = $1, received = $2, repeats = repeats + 1 WHERE id = $3

-- name: respool
UPDATE message SET spool = $1 WHERE id = $2

-- name: waiting
SELECT m.id, m.channel, m.received, b.data, m.spool, m.origin, m.hops, m.attempt, m.edits
FROM message m LEFT JOIN body b ON b.message = m.id
WHERE m.state = 'RECEIVED' ORDER BY m.id LIMIT $1

-- name: first_waiting
SELECT id FROM message WHERE state = 'RECEIVED' ORDER BY id LIMIT $1

-- name: strike
UPDATE message SET strikes = strikes + 1 WHERE id = $1 RETURNING strikes

-- name: settle
UPDATE message SET state = $1, code = $2, reason = $3, place = $4, kind = $5, patient = $6, settled = $7, lane = $8,
  configuration = $9
WHERE id = $10

-- name: behind
SELECT id FROM message WHERE lane = $1 AND id < $2 ORDER BY id LIMIT 1

-- name: leave_lane
UPDATE message SET lane = NULL WHERE id = $1

-- name: stuck
SELECT lane FROM message WHERE id = $1 AND lane IS NOT NULL AND state IN ('QUARANTINED', 'FAILED')

-- name: unhold
UPDATE message SET state = 'RECEIVED', code = NULL, reason = NULL WHERE lane = $1 AND state = 'HELD' RETURNING id

-- name: unprocessed
-- how many of a channel are still to be processed, and how many wait behind trouble
SELECT (SELECT count(*) FROM message WHERE state = 'RECEIVED' AND channel = $1)
  + (SELECT count(*) FROM message WHERE state = 'SPLITTING' AND channel = $1),
  (SELECT count(*) FROM message WHERE lane IS NOT NULL AND state = 'HELD' AND channel = $1)

-- name: splitting
SELECT id, channel, key, peer, spool, repeats FROM message WHERE state = 'SPLITTING' ORDER BY id LIMIT 1

-- name: seen
SELECT 1 FROM message
WHERE key = $1 AND id < $2 AND channel = $3 AND parent IS NULL AND state IN ('SPLIT', 'SPLITTING') LIMIT 1

-- name: reply
UPDATE message SET reply = $1 WHERE id = $2

-- name: spooled
SELECT spool FROM message WHERE spool IS NOT NULL

-- name: withhold
UPDATE message SET state = 'QUARANTINED', code = $1, reason = $2, place = $3 WHERE id = $4

-- name: release
UPDATE message SET state = 'RECEIVED', code = NULL, reason = NULL, place = NULL WHERE id = $1

-- name: enqueue
INSERT INTO delivery (message, route, destination, lane, shared, created, state, body)
VALUES ($1, $2, $3, $4, $5, $6, 'QUEUED', $7) ON CONFLICT (message, route) DO NOTHING

-- name: share
INSERT INTO shared (destination, lane, delivery) SELECT destination, $1, id FROM delivery
WHERE message = $2 AND route = $3 AND lane <> $1 AND state IN ('QUEUED', 'HELD') ON CONFLICT DO NOTHING

-- name: unshare
UPDATE shared SET waits = 0 WHERE delivery = $1 RETURNING lane

-- name: share_again
UPDATE shared SET waits = $1 WHERE delivery = $2

-- name: beside
SELECT lane FROM shared WHERE delivery = $1

-- name: waits
-- something that is before a delivery in one of the other lanes in which it stands
SELECT 1 FROM shared s JOIN delivery d ON d.destination = s.destination AND d.lane = s.lane AND d.id < s.delivery
WHERE s.delivery = $1 AND s.waits = 1 AND d.state IN ('QUEUED', 'HELD')
UNION ALL
SELECT 1 FROM shared s JOIN shared o ON o.destination = s.destination AND o.lane = s.lane AND o.delivery < s.delivery
WHERE s.delivery = $1 AND s.waits = 1 AND o.waits = 1
LIMIT 1

-- name: undelivered
SELECT coalesce(sum(CASE WHEN state = 'QUEUED' THEN 1 ELSE 0 END), 0),
  coalesce(sum(CASE WHEN state = 'HELD' THEN 1 ELSE 0 END), 0)
FROM delivery WHERE destination = $1 AND state IN ('QUEUED', 'HELD')

-- name: lanes
-- from one to the next in the index, however much waits in each
WITH RECURSIVE found (lane) AS (
  SELECT min(lane) FROM delivery WHERE destination = $1 AND lane > $2 AND state IN ('QUEUED', 'HELD')
  UNION ALL
  SELECT (SELECT min(lane) FROM delivery WHERE destination = $1 AND lane > found.lane AND state IN ('QUEUED', 'HELD'))
  FROM found WHERE found.lane IS NOT NULL)
SELECT lane FROM found LIMIT $3

-- name: lane
-- the head: of those that are in the lane, and those that stand in it beside their own
SELECT d.id, d.message, d.lane, d.shared, d.state, d.attempts, d.due, d.tried, coalesce(d.body, b.data),
  CASE WHEN d.body IS NULL THEN m.spool END, e.answers, d.batch
FROM (SELECT min(id) AS id FROM (
    SELECT * FROM (SELECT id FROM delivery
      WHERE destination = $1 AND lane = $2 AND state IN ('QUEUED', 'HELD') ORDER BY id LIMIT 1) AS own
    UNION ALL
    SELECT * FROM (SELECT delivery AS id FROM shared
      WHERE destination = $1 AND lane = $2 AND waits = 1 ORDER BY delivery LIMIT 1) AS beside) AS heads) AS head
  JOIN delivery d ON d.id = head.id JOIN message m ON m.id = d.message LEFT JOIN body b ON b.message = d.message
  LEFT JOIN expectation e ON e.delivery = d.id

-- name: deliver
-- what was set aside while it was on its way stays so, unless it arrived
UPDATE delivery SET state = $1, attempts = $2, due = $3, tried = $4, settled = $5, code = $6, reason = $7, reply = $8
WHERE id = $9 AND (state IN ('QUEUED', 'HELD') OR $1 = 'DELIVERED')

-- name: expect
INSERT INTO expectation (delivery, answers, within) SELECT id, $1, $2 FROM delivery WHERE message = $3 AND route = $4
ON CONFLICT DO NOTHING

-- name: wait_for
UPDATE expectation SET due = $1 + within WHERE delivery = $2 AND due IS NULL

-- name: answered
UPDATE expectation SET message = $1, said = $2, settled = $3
WHERE delivery = $4 AND answers = (SELECT channel FROM message WHERE id = $1) RETURNING delivery

-- name: setting
SELECT value FROM setting WHERE name = $1

-- name: forget_setting
DELETE FROM setting WHERE name = $1

-- name: set_setting
INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: refused_by
SELECT coalesce(sum(m.size), 0) FROM message m JOIN body b ON b.message = m.id
WHERE m.state = 'REFUSED' AND m.peer = $1

-- name: destinations
SELECT DISTINCT destination FROM delivery WHERE state IN ('QUEUED', 'HELD')
