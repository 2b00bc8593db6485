-- name: add
INSERT INTO configuration (hash, at) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: number
SELECT id FROM configuration WHERE hash = $1

-- name: judged
UPDATE message SET configuration = $1 WHERE id = $2

-- name: of
SELECT c.hash FROM message m JOIN configuration c ON c.id = m.configuration WHERE m.id = $1
