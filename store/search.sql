-- name: found
SELECT r.id, r.key, r.version, v.updated, v.message, v.body
FROM resource r JOIN version v ON v.resource = r.id AND v.number = r.version
WHERE r.type = $1 AND r.live = 1 AND r.id > $2

-- name: page
ORDER BY r.id LIMIT $1

-- name: id
SELECT id FROM resource WHERE key = $1

-- name: token
SELECT resource FROM token WHERE kind = $1 AND value >= $2 AND value < $3

-- name: token_of
-- of each resource: first which texts there are (a bare code: one for each system), then one look-up for each
EXISTS (SELECT 1 FROM token t WHERE t.kind = $1 AND t.resource = r.id AND t.value IN (
  WITH RECURSIVE text(value) AS (
    SELECT min(value) FROM token WHERE kind = $2 AND value >= $3 AND value < $4
    UNION ALL
    SELECT (SELECT min(value) FROM token WHERE kind = $5 AND value > text.value AND value < $6)
    FROM text WHERE text.value IS NOT NULL
  ) SELECT value FROM text WHERE value IS NOT NULL
))

-- name: patient
-- what is filed under the patient, and under those who were merged into this one
SELECT id FROM resource WHERE type = $1 AND patient IN (
  SELECT id FROM resource WHERE key = $2
  UNION ALL
  SELECT s.patient FROM resource p JOIN survivor s ON s.survivor = p.id WHERE p.key = $3
)

-- name: patient_of
+r.patient IN (
  SELECT id FROM resource WHERE key = $1
  UNION ALL
  SELECT s.patient FROM resource p JOIN survivor s ON s.survivor = p.id WHERE p.key = $2
)

-- name: date_eq
-- low and high of a date that is not there are both NULL; a period without an end has a low only
SELECT id FROM resource WHERE type = $1 AND low >= $2 AND low <= $3 AND high <= $4

-- name: date_eq_of
(r.low >= $1 AND r.high <= $2)

-- name: date_ne
(r.low < $1 OR r.high > $2 OR (r.low IS NULL) <> (r.high IS NULL))

-- name: date_lt
(r.low < $1 OR (r.low IS NULL AND r.high IS NOT NULL))

-- name: date_le
(r.low < $1 OR (r.low IS NULL AND r.high IS NOT NULL) OR r.high <= $2)

-- name: date_gt
(r.high > $1 OR (r.high IS NULL AND r.low IS NOT NULL))

-- name: date_ge
(r.high > $1 OR (r.high IS NULL AND r.low IS NOT NULL) OR r.low >= $2)

-- name: date_sa
r.low > $1

-- name: date_eb
r.high < $1

-- name: updated
SELECT resource FROM version WHERE updated >= $1 AND updated <= $2

-- name: updated_of
(v.updated >= $1 AND v.updated <= $2)
