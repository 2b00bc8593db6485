-- name: known
SELECT 1 FROM resource WHERE key = $1

-- name: named
-- resources with an identifier: texts from $1 up to $2, kind 1 is `identifier`
SELECT DISTINCT r.id, r.type, r.key FROM token t JOIN resource r ON r.id = t.resource
WHERE t.kind = 1 AND t.value >= $1 AND t.value < $2 ORDER BY r.id DESC LIMIT $3

-- name: paid
-- the payments of a claim by its number, as `named`; kind 7 is `store.search.PAID`
SELECT DISTINCT r.id, r.type, r.key FROM token t JOIN resource r ON r.id = t.resource
WHERE t.kind = 7 AND t.value >= $1 AND t.value < $2 ORDER BY r.id DESC LIMIT $3

-- name: claims
SELECT v.body FROM resource p JOIN resource r ON r.patient = p.id AND r.type = 'Claim'
JOIN version v ON v.resource = r.id AND v.number = r.version
WHERE p.key = $1 AND v.body IS NOT NULL ORDER BY r.id DESC LIMIT $2

-- name: claim
SELECT v.body FROM resource r JOIN version v ON v.resource = r.id AND v.number = r.version
WHERE r.id = $1 AND r.type = 'Claim' AND v.body IS NOT NULL

-- name: resource
SELECT id, type, key FROM resource WHERE key = $1 AND type = $2

-- name: of_patient
SELECT id FROM message WHERE patient = $1 ORDER BY id DESC LIMIT $2

-- name: of_resource
SELECT message FROM fact WHERE resource = $1 UNION SELECT message FROM version WHERE resource = $2
ORDER BY 1 DESC LIMIT $3

-- name: told
SELECT id FROM message WHERE key >= $1 AND key < $2 AND peer = 'chart' ORDER BY id DESC LIMIT $3

-- name: parent
SELECT parent FROM message WHERE id = $1 AND parent IS NOT NULL

-- name: answers
SELECT e.message FROM delivery d JOIN expectation e ON e.delivery = d.id WHERE d.message = $1 AND e.message IS NOT NULL

-- name: message
SELECT received, channel, peer, key, kind, state, code, place, repeats, parent, position FROM message WHERE id = $1

-- name: deliveries
SELECT id, coalesce(settled, created), destination, route, state, attempts, code FROM delivery
WHERE message = $1 ORDER BY id

-- name: audits
SELECT a.at, a.who, a.what, a.rows FROM audited p JOIN audit a ON a.id = p.audit
WHERE p.patient = $1 ORDER BY p.audit DESC LIMIT $2
