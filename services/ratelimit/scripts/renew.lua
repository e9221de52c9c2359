-- Keeps a running request's leases, and raises what it has exceeded. Idempotent.
--
-- KEYS: the reservation. ARGV: tokens used so far, ms for which it is kept from now on at the least.
-- Reply: 1 renewed or settled already, 0 nothing is known of it.

local record = redis.call('GET', KEYS[1])
if not record then return 0 end
if record == 'settled' then return 1 end
local renewed = {}
for one in entries(record) do
  local cost = kinds[one.kind].renew(one, tonumber(ARGV[1]))
  renewed[#renewed + 1] = entry(one.kind, one.event, one.limit, cost, one.key)
end
redis.call('SET', KEYS[1], table.concat(renewed), 'KEEPTTL')
redis.call('PEXPIRE', KEYS[1], ARGV[2], 'GT')
return 1
