"""What the server does in one step: the Lua texts, sent as they are by EVAL.

A command that can be refused goes by `pcall`, so that its error reaches the caller under its own prefix, as a plain
command's does, and nothing after it runs.
"""

from __future__ import annotations

from typing import Final

from otcache._serialization.wire import WIRE_VERSION

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

TOUCH: Final = (
    b"""\
local head = redis.pcall('GETRANGE', KEYS[1], 0, 11)
if type(head) == 'table' then return head end
if #head < 12 or head:byte(1) ~= 0xCA or head:byte(2) ~= %d then return 0 end
local left, expiry = tonumber(ARGV[1]), 0
if left > 0 then
  local now = redis.call('TIME')
  expiry = now[1] * 1000 + math.floor(now[2] / 1000) + left
end
local done = redis.pcall('SETRANGE', KEYS[1], 4, struct.pack('>I8', expiry))
if type(done) == 'table' then return done end
local flags = head:byte(4)
if bit.band(flags, 8) ~= 0 then
  redis.call('SETRANGE', KEYS[1], 12 + 2 * bit.band(flags, 4), struct.pack('>I8', expiry))
end
if left > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) else redis.call('PERSIST', KEYS[1]) end
if ARGV[2] then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
return 1
"""
    % WIRE_VERSION
)
"""A new time to live for one of our own entries: of the key and in the payload at once, by the server's clock.

The expiry is the 8 bytes big-endian at offset 4 of the 12-byte header that begins with 0xCA and our wire version;
bytes that do not are somebody else's, and stay as they are. A soft expiry (bit 3 of the flags), which follows the
header and the 8 bytes of created-at (bit 2), becomes the same: the entry is fresh for all of its new time.
ARGV: milliseconds (0: for ever), and, if there is one, channel and message. The answer is whether there was such
an entry.
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
