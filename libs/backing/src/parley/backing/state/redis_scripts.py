"""The operations that are more than one command, as scripts.

Each works on the one key it names, so all of them run on Redis Cluster. `ARGV` carries times to
live as `redis_records.milliseconds` writes them. Errors that begin with WRONGTYPE become
`WrongKind`. The layout of strings is that of `redis_records`.
"""

import hashlib

from parley.backing.state.base import ENDED_EPOCH


class Script:
    """A script and the name by which Redis knows it.

    Attributes:
        source: Lua.
        sha: SHA-1 of the source, in hexadecimal digits.
    """

    __slots__ = ("sha", "source")

    def __init__(self, source: str) -> None:
        self.source = source.encode()
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest()


# Arguments of `write`: what to store, how long.
_WRITE = """
local function write(blob, ttl)
  if ttl == '' then redis.call('SET', KEYS[1], blob)
  elseif ttl == '0' then redis.call('DEL', KEYS[1])
  else redis.call('SET', KEYS[1], blob, 'PX', ttl) end
end
"""
_OWNED = "redis.error_reply('WRONGTYPE the record is owned; write it with put_owned')"
_PLAIN = "redis.error_reply('WRONGTYPE the key holds a value without owner')"

# 1: head that is expected, empty for none, 2: what to write, 3: time to live.
PUT_IF_VERSION = Script(
    _WRITE
    + f"""
local old = redis.call('GETRANGE', KEYS[1], 0, 10)
if string.sub(old, 1, 1) == 'o' then return {_OWNED} end
if old ~= ARGV[1] then return 0 end
write(ARGV[2], ARGV[3])
return 1
"""
)

# 1: epoch that is expected, 2: owner, 3: stamp, 4: time to live.
CLAIM = Script(
    _WRITE
    + f"""
local old = redis.call('GET', KEYS[1])
if not old then return false end
if string.sub(old, 1, 1) ~= 'o' then return {_PLAIN} end
local epoch = struct.unpack('>I8', old, 2)
if epoch ~= tonumber(ARGV[1]) or epoch == {ENDED_EPOCH} then return false end
local rest = string.sub(old, 21 + string.byte(old, 10))
write('o' .. struct.pack('>I8', epoch + 1) .. ARGV[2] .. ARGV[3] .. rest, ARGV[4])
return {{epoch + 1, rest}}
"""
)

# 1: what to write, 2: time to live.
CREATE_OWNED = Script(
    _WRITE
    + f"""
local kind = redis.call('GETRANGE', KEYS[1], 0, 0)
if kind == 'o' then return 0 end
if kind ~= '' then return {_PLAIN} end
write(ARGV[1], ARGV[2])
return 1
"""
)

# 1: beginning of the record, 2: what to write, 3: time to live.
RESTORE_OWNED = Script(
    _WRITE
    + f"""
local old = redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1)
if old ~= '' and old ~= ARGV[1] then
  if string.sub(old, 1, 1) ~= 'o' then return {_PLAIN} end
  if struct.unpack('>I8', old, 2) >= struct.unpack('>I8', ARGV[1], 2) then return 0 end
end
write(ARGV[2], ARGV[3])
return 1
"""
)

# 1: beginning of the record, 2: what to write, 3: time to live.
PUT_OWNED = Script(
    _WRITE
    + """
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end
write(ARGV[2], ARGV[3])
return 1
"""
)

# 1: the mark, 2: time to live.
RESTORE_ENDED = Script(
    _WRITE
    + f"""
local kind = redis.call('GETRANGE', KEYS[1], 0, 0)
if kind ~= '' and kind ~= 'o' then return {_PLAIN} end
write(ARGV[1], ARGV[2])
"""
)

SCRIPTS = (
    PUT_IF_VERSION,
    CLAIM,
    CREATE_OWNED,
    RESTORE_OWNED,
    PUT_OWNED,
    RESTORE_ENDED,
)
