-- Tells how a budget stands, and changes nothing.
--
-- KEYS: the budget; the key of its holds is beside it, with the same hash tag. Reply: what is posted (or ''), what is held,
-- the sum of the holds, how many there are, the end of the first to end in ms (0: there is none), and the time in ms.

local both = redis.call('HMGET', KEYS[1], 'posted', 'held')
local open = redis.call('ZRANGE', holds({key = KEYS[1]}), 0, -1, 'WITHSCORES')
local sum = 0
for i = 1, #open, 2 do sum = sum + tonumber(string.match(open[i], '^%d+')) end
return {both[1] or '', both[2] or '0', text(sum), #open / 2, text(tonumber(open[2] or '0')), text(now)}
