-- name: links
SELECT link, next, delivery FROM sequence ORDER BY link

-- name: link
SELECT next, delivery FROM sequence WHERE link = $1

-- name: set
INSERT INTO sequence (link, next) VALUES ($1, $2) ON CONFLICT (link) DO UPDATE SET next = excluded.next, delivery = NULL

-- name: take
UPDATE sequence SET delivery = $1 WHERE link = $2
