-- Charges costs against all meters or none. Idempotent: a known reservation is answered and charges nothing.
--
-- KEYS: the reservation, then a meter per charge. ARGV: hold_ms, then per charge: refundable (0 or 1), limit, cost.
-- Reply: the refusing charge's place from 1 (0: reserved), its wait in ms (-1: it can never fit), then per charge the
-- units used and the ms until the meter is empty.

-- How long until `cost` fits: 0 at once, NEVER.
local function wait_for(meter)
  if meter.cost == 0 or used(meter) + meter.cost <= meter.limit then return 0 end
  if meter.cost > meter.limit then return NEVER end
  return time_to_drain(meter.units + meter.cost - meter.limit, meter.part, meter.limit)
end

local kept = redis.call('MGET', unpack(KEYS))
local known = kept[1]
local meters, place, longest = {}, 0, 0
for i = 2, #KEYS do
  local base = 3 * i - 5
  local meter = read(KEYS[i], tonumber(ARGV[base + 2]), kept[i])
  meter.refundable = ARGV[base + 1] == '1'
  meter.cost = tonumber(ARGV[base + 3])
  local wait = known and 0 or wait_for(meter)
  if longest ~= NEVER and (wait == NEVER or wait > longest) then place, longest = i - 1, wait end
  meters[#meters + 1] = meter
end

if place == 0 and not known then
  local record = {}
  for _, meter in ipairs(meters) do
    local event = 0
    if meter.cost > 0 then
      if meter.refundable then event = begin_event(meter) end
      meter.units = meter.units + meter.cost
      write(meter)
    end
    if meter.refundable then
      record[#record + 1] = pack('<ddds', event, meter.limit, meter.cost, meter.key)
    end
  end
  redis.call('SET', KEYS[1], table.concat(record), 'PX', ARGV[1])
else
  for _, meter in ipairs(meters) do
    if meter.stale then write(meter) end
  end
end

local reply = {place, longest}
for _, meter in ipairs(meters) do
  reply[#reply + 1] = used(meter)
  reply[#reply + 1] = time_to_empty(meter)
end
return reply
