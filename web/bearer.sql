-- name: holder
SELECT name FROM token_holder WHERE digest = $1

-- name: add_holder
INSERT INTO token_holder (digest, name, created) VALUES ($1, $2, $3)
