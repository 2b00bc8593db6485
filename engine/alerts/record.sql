-- name: open
SELECT id, rule, subject, text, opened, seen, told, closed, who, why FROM alert WHERE closed IS NULL ORDER BY id

-- name: newest
SELECT id, rule, subject, text, opened, seen, told, closed, who, why FROM alert ORDER BY id DESC LIMIT $1

-- name: opened
INSERT INTO alert (rule, subject, text, opened, seen, told) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
RETURNING id

-- name: seen
UPDATE alert SET seen = $1, text = $2 WHERE id = $3

-- name: told
UPDATE alert SET told = $1 WHERE id = $2

-- name: closed
UPDATE alert SET closed = $1 WHERE id = $2

-- name: acknowledged
UPDATE alert SET who = $1, why = $2 WHERE id = $3 AND closed IS NULL RETURNING id

-- name: notice
INSERT INTO notice (alert, what, notifier, due) VALUES ($1, $2, $3, $4)

-- name: due
SELECT n.id, n.what, n.notifier, n.attempts, a.id, a.rule, a.subject, a.text, a.opened, a.seen, a.told, a.closed, a.who,
  a.why
FROM notice n JOIN alert a ON a.id = n.alert WHERE n.due <= $1 ORDER BY n.id LIMIT 50

-- name: done
DELETE FROM notice WHERE id = $1

-- name: later
UPDATE notice SET attempts = attempts + 1, due = $1 WHERE id = $2

-- name: mutes
SELECT rule, subject, until, who, why FROM mute WHERE until > $1

-- name: mute
INSERT INTO mute (rule, subject, until, who, why) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (rule, subject) DO UPDATE SET until = excluded.until, who = excluded.who, why = excluded.why

-- name: unmute
DELETE FROM mute WHERE rule = $1 AND subject = $2 RETURNING rule

-- name: heard
SELECT channel, at FROM heard

-- name: hear
INSERT INTO heard (channel, at) VALUES ($1, $2)
ON CONFLICT (channel) DO UPDATE SET at = CASE WHEN excluded.at > heard.at THEN excluded.at ELSE heard.at END

-- name: ended
-- of the newest ones
SELECT channel, count(*), sum(CASE WHEN state IN ('QUARANTINED', 'FAILED', 'REFUSED') THEN 1 ELSE 0 END)
FROM (SELECT channel, state, received FROM message ORDER BY id DESC LIMIT 2000) AS newest WHERE received >= $1
GROUP BY channel

-- name: count
INSERT INTO usual (channel, hour, messages) VALUES ($1, $2, $3)
ON CONFLICT (channel, hour) DO UPDATE SET messages = usual.messages + excluded.messages

-- name: usual
-- by channel and hour of the week, and since when there is anything of the channel
SELECT u.channel, u.hour % 168, sum(u.messages), (SELECT min(f.hour) FROM usual f WHERE f.channel = u.channel)
FROM usual u WHERE u.hour >= $1 AND u.hour < $2 GROUP BY u.channel, u.hour % 168

-- name: forget_usual
DELETE FROM usual WHERE hour < $1

-- name: slow
INSERT INTO latency (process, subject, at, seconds, answers) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (process, subject) DO UPDATE SET at = excluded.at, seconds = excluded.seconds, answers = excluded.answers

-- name: forget_slow
DELETE FROM latency WHERE at < $1

-- name: latency
SELECT subject, max(seconds) FROM latency WHERE at >= $1 AND answers >= $2 GROUP BY subject
