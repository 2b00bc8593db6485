-- name: add
INSERT INTO chunk (name, position, created, data) VALUES ($1, $2, $3, $4)

-- name: chunk
SELECT data FROM chunk WHERE name = $1 AND position = $2

-- name: sweep
DELETE FROM chunk c WHERE created < $1 AND NOT EXISTS (SELECT 1 FROM message m WHERE m.spool = c.name)
