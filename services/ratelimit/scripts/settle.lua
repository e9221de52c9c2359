-- Replaces a reservation's token costs by what was used. Idempotent: only the first time has an effect.
--
-- KEYS: the reservation, which holds event, limit, cost and key of each token meter. The keys share its hash tag.
-- ARGV: tokens used, ms for which a settled reservation is remembered. Reply: 1 settled, 0 nothing was open.
--
-- Less than reserved: the level becomes what it would be had the true cost been charged in the first place. That is the
-- difference, but no more than the lowest level since: what has drained meanwhile was not there to be used by others,
-- and giving it back would admit a second burst. More than reserved: debt, which later requests wait for.

local function give_back(meter, event, units)
  begin_event(meter)
  local marks, kept = meter.marks, {}
  local given
  for _, one in ipairs(marks) do
    if one.number > event then
      given = given or math.min(units, one.units)
      one.units = one.units - given
    end
    mark(kept, one.number, one.units)
  end
  meter.marks = kept
  meter.units = meter.units - given
end

local record = redis.call('GET', KEYS[1])
if not record or record == 'settled' then return 0 end
redis.call('SET', KEYS[1], 'settled', 'PX', ARGV[2])

local tokens, position = tonumber(ARGV[1]), 1
while position <= #record do
  local event, limit, cost, key
  event, limit, cost, key, position = unpack_at('<ddds', record, position)
  local more = tokens - cost
  local meter = read(key, limit, redis.call('GET', key))
  if more > 0 and meter.limit > 0 then
    begin_event(meter)
    meter.units = meter.units + more
    write(meter)
  elseif more < 0 then
    give_back(meter, event, -more)
    write(meter)
  end
end
return 1
