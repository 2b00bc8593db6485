-- name: pauses
SELECT kind, name, at, who, why FROM pause ORDER BY kind, name

-- name: pause
INSERT INTO pause (kind, name, at, who, why) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING

-- name: resume
DELETE FROM pause WHERE kind = $1 AND name = $2
