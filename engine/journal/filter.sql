-- name: messages
SELECT m.id, m.channel, m.received, m.key, m.peer, m.size, m.state, m.code, m.reason, m.place, m.kind, m.settled,
  m.repeats
FROM message m WHERE m.id < $1

-- name: not_before
m.id >= $1

-- name: channel
m.channel = $1

-- name: key
m.key = $1

-- name: since
m.received >= $1

-- name: state
m.state = $1

-- name: waiting
m.state = 'RECEIVED'

-- name: splitting
m.state = 'SPLITTING'

-- name: troubled
-- as the index says it, and then which of them
m.state IN ('HELD', 'UNROUTED', 'FILTERED', 'QUARANTINED', 'FAILED', 'REFUSED') AND m.state = $1

-- name: page
ORDER BY m.id DESC LIMIT $1
