-- Charges costs against all meters or none. Idempotent: a known reservation is answered and charges nothing.
--
-- KEYS: the reservation, then a meter per charge. Those of money have a second key beside them, with the same hash tag.
-- ARGV: hold_ms, ms for which the reservation is kept, granted (0 or 1: charge whatever the meters say), then per charge:
-- kind, flags (letters: r its cost can change, s shadow, p a refusal is penalized), limit, cap, cost, seed (or ''), floor.
-- Reply: the refusing charge's place from 1 (0: reserved), its wait in ms (NEVER, UNKNOWN), then per charge the units
-- used, the ms until the meter is empty, and 1 where the charge did not fit.

hold_ms = tonumber(ARGV[1])
local kept = redis.call('MGET', unpack(KEYS))
local known, granted = kept[1], ARGV[3] == '1'
local charges = {}

local function worse(wait, other)
  if wait < 0 then return wait < other end
  return other >= 0 and wait > other
end

local function judged()
  local place, longest = 0, 0
  for i, one in ipairs(charges) do
    one.wait = (known or granted) and 0 or one.kind.wait(one)
    if one.shadow and one.wait == UNKNOWN then one.wait = 0 end
    if not one.shadow and worse(one.wait, longest) then place, longest = i, one.wait end
  end
  return place, longest
end

for i = 2, #KEYS do
  local base = 7 * i - 11
  local name, flags = ARGV[base + 1], ARGV[base + 2]
  local one = {
    key = KEYS[i], name = name, kind = kinds[name],
    refundable = string.find(flags, 'r', 1, true), shadow = string.find(flags, 's', 1, true),
    penalized = string.find(flags, 'p', 1, true),
    limit = tonumber(ARGV[base + 3]), cap = tonumber(ARGV[base + 4]), cost = tonumber(ARGV[base + 5]),
    seed = ARGV[base + 6], floor = tonumber(ARGV[base + 7]),
  }
  one.kind.open(one, kept[i])
  charges[#charges + 1] = one
end

local place, longest = judged()
if place == 0 and not known then
  local record = {}
  for _, one in ipairs(charges) do
    -- A shadow of a rate counts as if it were enforced; of money all is counted, for all of it is spent.
    if one.wait == 0 or one.name == 'money' then
      local event = one.cost > 0 and one.kind.charge(one) or 0
      if one.refundable then record[#record + 1] = entry(one.name, event, one.limit, one.cost, one.key) end
    end
  end
  redis.call('SET', KEYS[1], table.concat(record), 'PX', ARGV[2])
else
  for _, one in ipairs(charges) do
    if place > 0 and longest ~= UNKNOWN and one.penalized then
      penalize(one)
      write(one)
    elseif one.stale then
      write(one)
    end
  end
  if place > 0 then place, longest = judged() end
end

local reply = {place, longest}
for _, one in ipairs(charges) do
  reply[#reply + 1] = one.kind.used(one)
  reply[#reply + 1] = one.kind.reset(one)
  reply[#reply + 1] = one.wait == 0 and 0 or 1
end
return reply
