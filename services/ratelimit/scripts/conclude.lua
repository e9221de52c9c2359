-- Says what came of a keyed request's work.
--
-- KEYS: the key's record, then the organisation's index: a sorted set of "size record" by the time of its end, and the
-- sum of those sizes. ARGV: claimant, state (1: nothing was done, 3: the answer is kept, 4: it is not), how long that is
-- known in ms, most bytes of an organisation, the answer.
-- Reply: 1, or 0 when the claim is not this claimant's.

local GRANTED, RUNNING, KEPT, USED = 1, 2, 3, 4
local record, index, total = KEYS[1], KEYS[2], KEYS[3]

local claimant, state = unpack(redis.call('HMGET', record, 'claimant', 'state'))
if claimant ~= ARGV[1] then return 0 end
if tonumber(state) ~= RUNNING then return 1 end

local wanted = tonumber(ARGV[2])
if wanted == GRANTED then
  redis.call('DEL', record)
  return 1
end
redis.call('HSET', record, 'state', wanted)
redis.call('PEXPIRE', record, ARGV[3])
if wanted ~= KEPT then return 1 end
redis.call('HSET', record, 'answer', ARGV[5])

local function forget(member)
  redis.call('ZREM', index, member)
  return redis.call('DECRBY', total, string.match(member, '^%d+'))
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for _, member in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, 100)) do forget(member) end
redis.call('ZADD', index, now + ARGV[3] * 1000, string.len(ARGV[5]) .. ' ' .. record)
local sum = redis.call('INCRBY', total, string.len(ARGV[5]))
redis.call('PEXPIRE', index, ARGV[3])
redis.call('PEXPIRE', total, ARGV[3])
-- The oldest answers go first, and with them their keys, which are free again.
while sum > tonumber(ARGV[4]) do
  local oldest = redis.call('ZRANGE', index, 0, 0)[1]
  if not oldest then break end
  sum = forget(oldest)
  redis.call('DEL', string.match(oldest, ' (.*)$'))
end
return 1
