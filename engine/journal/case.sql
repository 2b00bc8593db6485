-- name: known
SELECT 1 FROM resource WHERE key = $1

-- name: named
-- resources with an identifier, of whatever system: texts from $1 up to $2, kind 1 is `identifier`
SELECT DISTINCT r.id, r.type, r.key FROM token t JOIN resource r ON r.id = t.resource
WHERE t.kind = 1 AND t.value >= $1 AND t.value < $2 ORDER BY r.id LIMIT 50

-- name: paid
-- the payments of a claim by its number, as `named`; kind 7 is `store.search.PAID`
SELECT DISTINCT r.id, r.type, r.key FROM token t JOIN resource r ON r.id = t.resource
WHERE t.kind = 7 AND t.value >= $1 AND t.value < $2 ORDER BY r.id LIMIT 50

-- name: claims
SELECT v.body FROM resource p JOIN resource r ON r.patient = p.id AND r.type = 'Claim'
JOIN version v ON v.resource = r.id AND v.number = r.version WHERE p.key = $1 AND r.live = 1 LIMIT 50

-- name: resource
SELECT id, type, key FROM resource WHERE key = $1 AND type = $2

-- name: of_patient
SELECT id FROM message WHERE patient = $1 ORDER BY id DESC LIMIT $2

-- name: of_resource
SELECT message FROM fact WHERE resource = $1 UNION SELECT message FROM version WHERE resource = $2 LIMIT $3

-- name: told
SELECT id FROM message WHERE key >= $1 AND key < $2 LIMIT $3

-- name: parent
SELECT parent FROM message WHERE id = $1 AND parent IS NOT NULL

-- name: answers
SELECT e.message FROM delivery d JOIN expectation e ON e.delivery = d.id WHERE d.message = $1 AND e.message IS NOT NULL

-- name: message
SELECT m.received, m.channel, m.kind, m.state, m.code, m.place, m.peer, m.key, m.repeats, m.parent, m.position, m.size
FROM message m WHERE m.id = $1

-- name: deliveries
SELECT d.id, d.created, d.settled, d.destination, d.route, d.state, d.attempts, d.code, e.answers, e.due, e.message,
  e.said, e.settled
FROM delivery d LEFT JOIN expectation e ON e.delivery = d.id WHERE d.message = $1 ORDER BY d.id

-- name: audits
SELECT a.at, a.channel, a.peer, a.kind, a.hits FROM audited p JOIN audit a ON a.id = p.audit
WHERE p.patient = $1 ORDER BY a.id DESC LIMIT $2

-- name: expectations
SELECT e.delivery, d.destination, d.message, e.answers, e.due, e.message, e.said, e.settled
FROM expectation e JOIN delivery d ON d.id = e.delivery ORDER BY e.delivery DESC LIMIT $1

-- name: overdue
SELECT e.delivery, d.destination, d.message, e.answers, e.due, e.message, e.said, e.settled
FROM expectation e JOIN delivery d ON d.id = e.delivery
WHERE e.settled IS NULL AND e.due IS NOT NULL AND e.due < $1 ORDER BY e.due LIMIT $2

-- name: waiting
SELECT d.destination, sum(CASE WHEN e.due < $1 THEN 1 ELSE 0 END), count(*)
FROM expectation e JOIN delivery d ON d.id = e.delivery
WHERE e.settled IS NULL AND e.due IS NOT NULL GROUP BY d.destination
