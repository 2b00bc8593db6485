-- name: find
SELECT id, version, live, head, patient, type FROM resource WHERE key = $1

-- name: find_some
-- twenty at a time; where fewer are asked for, keys repeat
SELECT id, version, live, head, patient, type, key FROM resource
WHERE key IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
              $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)

-- name: create
INSERT INTO resource (type, key, patient, version, live, head, updated, low, high)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id

-- name: promote
UPDATE resource SET version = $1, live = $2, updated = $3, low = $4, high = $5 WHERE id = $6

-- name: advance
UPDATE resource SET head = $1 WHERE id = $2

-- name: identity
SELECT type, key, version, live FROM resource WHERE id = $1

-- name: add_fact
INSERT INTO fact (resource, message, clock, event, cancels, establishes, elements)
VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: facts
SELECT clock, event, cancels, establishes, elements FROM fact WHERE resource = $1 ORDER BY clock

-- name: said
SELECT 1 FROM fact WHERE message = $1 LIMIT 1

-- name: withdraw
DELETE FROM fact WHERE message = $1 RETURNING resource

-- name: add_version
INSERT INTO version (resource, number, message, updated, body) VALUES ($1, $2, $3, $4, $5)

-- name: body
SELECT body FROM version WHERE resource = $1 AND number = $2

-- name: add_token
INSERT INTO token (kind, value, resource) VALUES ($1, $2, $3)

-- name: drop_token
DELETE FROM token WHERE kind = $1 AND value = $2 AND resource = $3

-- name: add_link
INSERT INTO link (message, prior, survivor, kind, clock, place) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING

-- name: unlink
DELETE FROM link WHERE message = $1 RETURNING prior, survivor, kind, clock, place

-- name: known_claim
SELECT clock FROM link WHERE prior = $1 AND survivor = $2 AND kind = 'claim' ORDER BY clock LIMIT 1

-- name: neighbours
SELECT survivor FROM link WHERE prior = $1 UNION SELECT prior FROM link WHERE survivor = $1

-- name: merges
SELECT clock, prior, survivor FROM link WHERE prior = $1 AND kind = 'merge'

-- name: claims
SELECT l.clock, l.prior, l.survivor FROM link l WHERE l.prior = $1 AND l.kind = 'claim' AND NOT EXISTS (
  SELECT 1 FROM link e
  WHERE e.prior = l.prior AND e.survivor = l.survivor AND e.kind = 'claim' AND e.clock < l.clock)

-- name: filed_claimants
SELECT l.message, l.place FROM link l LEFT JOIN withheld w ON w.message = l.message
WHERE l.prior = $1 AND l.survivor = $2 AND l.kind = 'claim' AND w.message IS NULL

-- name: withheld_claimants
SELECT l.message FROM link l JOIN withheld w ON w.message = l.message
WHERE l.prior = $1 AND l.survivor = $2 AND l.kind = 'claim'

-- name: contested_claim
SELECT l.place FROM link l LEFT JOIN survivor a ON a.patient = l.prior LEFT JOIN survivor b ON b.patient = l.survivor
WHERE l.message = $1 AND l.kind = 'claim' AND coalesce(a.survivor, l.prior) <> coalesce(b.survivor, l.survivor)
ORDER BY l.place LIMIT 1

-- name: survivor_of
SELECT survivor FROM survivor WHERE patient = $1

-- name: forget_survivor
DELETE FROM survivor WHERE patient = $1

-- name: set_survivor
INSERT INTO survivor (patient, survivor) VALUES ($1, $2)

-- name: withhold
INSERT INTO withheld (message, place) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: release
DELETE FROM withheld WHERE message = $1

-- name: current
SELECT r.type, r.key, v.body FROM resource r JOIN version v ON v.resource = r.id AND v.number = r.version
WHERE r.live = 1 ORDER BY r.key

-- name: read
SELECT r.version, v.updated, v.message, v.body
FROM resource r JOIN version v ON v.resource = r.id AND v.number = r.version
WHERE r.key = $1 AND r.type = $2

-- name: vread
SELECT v.number, v.updated, v.message, v.body FROM version v JOIN resource r ON r.id = v.resource
WHERE r.key = $1 AND r.type = $2 AND v.number = $3

-- name: history
SELECT v.number, v.updated, v.message, v.body FROM version v JOIN resource r ON r.id = v.resource
WHERE r.key = $1 AND r.type = $2 AND v.number < $3 ORDER BY v.number DESC LIMIT $4

-- name: history_size
SELECT count(*) FROM version v JOIN resource r ON r.id = v.resource WHERE r.key = $1 AND r.type = $2

-- name: said_of
SELECT r.type, r.key FROM fact f JOIN resource r ON r.id = f.resource WHERE f.message = $1 ORDER BY f.id

-- name: replaced_by
SELECT DISTINCT r.key FROM survivor s JOIN link l ON l.prior = s.patient AND l.kind = 'merge'
JOIN resource r ON r.id = s.patient WHERE s.survivor = $1

-- name: key_of
SELECT key FROM resource WHERE id = $1

-- name: contested
SELECT 1 FROM link l LEFT JOIN survivor a ON a.patient = l.prior LEFT JOIN survivor b ON b.patient = l.survivor
WHERE l.prior IN (SELECT prior FROM link WHERE survivor = $1 AND kind = 'claim') AND l.kind = 'claim'
  AND coalesce(a.survivor, l.prior) <> coalesce(b.survivor, l.survivor)
LIMIT 1

-- name: made
SELECT r.type, r.key, v.number, CASE WHEN v.body IS NULL THEN 1 ELSE 0 END
FROM version v JOIN resource r ON r.id = v.resource WHERE v.message = $1 ORDER BY v.id

-- name: same_person
SELECT r.key FROM resource p LEFT JOIN survivor o ON o.patient = p.id
JOIN survivor s ON s.survivor = coalesce(o.survivor, p.id) JOIN resource r ON r.id IN (s.patient, s.survivor)
WHERE p.key = $1

-- name: compartment
-- what is there of a patient, and of those who were merged into this one
SELECT key FROM resource WHERE live = 1 AND patient IN (
  SELECT id FROM resource WHERE id = $1 UNION ALL SELECT patient FROM survivor WHERE survivor = $2
) LIMIT $3

-- name: own
UPDATE resource SET patient = $1 WHERE id = $2

-- name: holders
-- whose are the resources of a type with an identifier? texts from $2 up to $3, kind 1 is `identifier`
SELECT DISTINCT r.patient FROM token t JOIN resource r ON r.id = t.resource
WHERE t.kind = 1 AND t.value >= $1 AND t.value < $2 AND r.type = $3 AND r.live = 1 AND r.patient IS NOT NULL

-- name: stamp
SELECT r.version, r.live, v.updated FROM resource r JOIN version v ON v.resource = r.id AND v.number = r.version
WHERE r.key = $1
