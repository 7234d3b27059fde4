"""What the server does in one step: the Lua texts, sent as they are by EVAL.

A command that can be refused goes by `pcall`, so that its error reaches the caller under its own prefix, as a plain
command's does, and nothing after it runs.
"""

from __future__ import annotations

from typing import Final

WRITE: Final = b"""\
local done = redis.pcall('SET', KEYS[1], unpack(ARGV, 3))
if done.ok then
  if KEYS[2] then redis.call('UNLINK', KEYS[2]) end
  redis.call('PUBLISH', ARGV[1], ARGV[2])
end
return done
"""
"""`SET`, the end of a load of the same key, and its message.

KEYS: the entry, and its lock: a load under way has read what is old from now on, and must not store it.
ARGV: channel, message, payload, and `PX` with the milliseconds unless it never expires.
"""

WRITE_LOADED: Final = b"""\
if not KEYS[2] or redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
local done = redis.pcall('SET', KEYS[1], unpack(ARGV, 4))
if done.ok then
  redis.call('UNLINK', KEYS[2])
  if ARGV[1] ~= '' then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
end
return done
"""
"""The value of a load, if its lock is still ours: no process has written or removed the key since the load began.

KEYS: the entry and its lock, which is given back. ARGV: channel (empty: publish nothing), message, our
value, then as for `WRITE`. The answer is 0 if the lock is not ours.
"""

REMOVE: Final = b"""\
local removed, entries = 0, tonumber(ARGV[3])
for i = 1, entries do
  local done = redis.pcall('UNLINK', KEYS[i])
  if type(done) == 'table' then return done end
  removed = removed + done
end
for i = entries + 1, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return removed
"""
"""`UNLINK` of every key and one message, also if none existed: others may still hold copies.

KEYS: the entries, then their locks (see `WRITE`). ARGV: channel, message, how many entries. The answer is how many
existed.
"""

REPLACE: Final = b"""\
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then return held end
if held ~= ARGV[3] then return 0 end
local done = redis.pcall('SET', KEYS[1], unpack(ARGV, 4))
if done.err then return done end
if ARGV[1] ~= '' then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
return 1
"""
"""Another payload for an entry that is still the one that was read: nothing is revived, and no newer write is lost.

The payloads are compared as bytes: a digest would be made by the server, which does nothing else meanwhile.
ARGV: channel (empty: publish nothing), message, the payload that was read, then as for `WRITE`. The answer is whether
it was replaced.
"""

VERSIONS: Final = b"""\
local id = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
if not id then
  id = '#' .. ARGV[3]
  local done = redis.pcall('ZADD', KEYS[1], 0, id)
  if type(done) == 'table' then return done end
end
local since = '(0'
if id == '#' .. ARGV[1] then since = '(' .. ARGV[2] end
return {id, redis.call('ZRANGEBYSCORE', KEYS[1], since, '+inf', 'WITHSCORES')}
"""
"""The epoch of the versions, begun if there is none, and the rows that the caller does not know.

ARGV: the id of the epoch the caller knows, the highest version it knows, an id for a new epoch. The id is the only
member whose score is 0, so it is the first.
"""

INVALIDATE: Final = b"""\
local versions, target, limit = KEYS[1], ARGV[1], tonumber(ARGV[3])
local id = redis.call('ZRANGE', versions, 0, 0)[1] or '#' .. ARGV[2]
local n = (tonumber(redis.call('ZRANGE', versions, -1, -1, 'WITHSCORES')[2]) or 0) + 1
if n > 4294967295 then id, n = '#' .. ARGV[2], 1 end
local done = redis.pcall('ZADD', versions, n, target)
if type(done) == 'table' then return done end
if n == 1 or target == '*' then
  redis.call('DEL', versions)
  redis.call('ZADD', versions, 0, id, n, target)
end
local excess = redis.call('ZCARD', versions) - 1 - limit
if excess > 0 then
  local last = excess + math.ceil(limit / 10)
  local floor = redis.call('ZRANGE', versions, last, last, 'WITHSCORES')[2]
  redis.call('ZREMRANGEBYRANK', versions, 1, last)
  redis.call('ZADD', versions, floor, '#floor')
end
if ARGV[4] then redis.call('PUBLISH', ARGV[4], string.format('%s%.0f %s', ARGV[5], n, target)) end
return {id, n}
"""
"""The next version for a target, and its message. The answer is the epoch's id and the version.

ARGV: target, an id for a new epoch, the most members to keep, and, if there is one, channel and head of the message.
`*` makes all other rows needless. Above the limit the lowest rows go, a tenth of the limit at once, and `#floor`
stands for them with the highest of their versions. Entries keep a version in 32 bits: after the last one a new epoch
begins.
"""

LOCK: Final = b"""\
local done = redis.pcall('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
if done then return done end
return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}
"""
"""Take a lock (the answer is OK), or tell who holds it and for how many milliseconds. ARGV: our value, ms."""

RENEW: Final = b"""\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
"""Hold a lock on, if it is still ours. ARGV: our value, milliseconds."""

UNLOCK: Final = b"""\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local done = redis.pcall('DEL', KEYS[1])
if done == 1 and ARGV[2] then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
return done
"""
"""Give a lock back, if it is still ours. ARGV: our value, and, if there is one, channel and message."""
