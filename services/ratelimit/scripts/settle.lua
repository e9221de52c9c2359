-- Replaces a reservation's costs by what was used. Idempotent: only the first time has an effect.
--
-- KEYS: the reservation, which names the meters; their keys share its hash tag.
-- ARGV: tokens used, nano-dollars spent, ms for which a settled reservation is remembered.
-- Reply: 1 settled, 0 nothing was open.
--
-- Less than reserved: a level becomes what it would be had the true cost been charged in the first place. More than
-- reserved: debt, which later requests wait for.
--
-- A reservation that is not known may still be on its way: it is over before it has begun, and will charge nothing.

local record = redis.call('GET', KEYS[1])
if record == 'settled' then return 0 end
redis.call('SET', KEYS[1], 'settled', 'PX', ARGV[3])
if not record then return 0 end
for one in entries(record) do kinds[one.kind].settle(one, tonumber(ARGV[1]), tonumber(ARGV[2])) end
return 1
