-- name: last
SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1

-- name: record
INSERT INTO audit (id, at, who, what, rows, why, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: audited
INSERT INTO audited (audit, patient) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: before
SELECT id, at, who, what, rows, why, hash FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2

-- name: after
SELECT id, at, who, what, rows, why, hash FROM audit WHERE id > $1 ORDER BY id LIMIT $2
