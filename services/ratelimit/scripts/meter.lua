#!lua
-- The arithmetic of one meter. reserve.lua and settle.lua are run with this text before them; arithmetic.py is the same
-- in exact integers, and the tests hold the two together.
--
-- A meter is a level that drains at `limit` units per minute (GCRA, seen as a leaky bucket). A level is kept as whole
-- units and 60,000ths of one, so that it is exact in doubles for limits and costs up to 10^12. Stored are doubles, since
-- writing numbers as text and reading them again took most of the time: units, part, time in ms, then number and units of
-- each mark.
-- The time is the server's own: callers whose clocks differ cannot disagree.

local WINDOW_MS = 60000
local MOST_UNITS = 1e15
local LONGEST_MS = 30 * 86400000
local MOST_MARKS = 16
local NEVER = -1

local pack, unpack_at, floor = struct.pack, struct.unpack, math.floor

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = floor(now_us / 1000)

-- Milliseconds in which a level drains by `units` and `part`; to the millisecond for limits up to 10^11.
local function time_to_drain(units, part, limit)
  local windows = floor(units / limit)
  return windows * WINDOW_MS + math.ceil(((units - windows * limit) * WINDOW_MS + part) / limit)
end

local function time_to_empty(meter)
  if meter.units == 0 and meter.part == 0 then return 0 end
  if meter.limit == 0 then return LONGEST_MS end
  return math.min(time_to_drain(meter.units, meter.part, meter.limit), LONGEST_MS)
end

local function used(meter)
  return meter.units + (meter.part > 0 and 1 or 0)
end

-- A mark is an event's number and the level before it. Kept are those that are lower than all later ones, so that the
-- first mark after an event is the lowest level since. When there are too many, the two closest become one, the lower.
local function mark(marks, number, units)
  while #marks > 0 and marks[#marks].units >= units do table.remove(marks) end
  marks[#marks + 1] = {number = number, units = units}
  if #marks > MOST_MARKS then
    local closest = 1
    for i = 2, #marks - 1 do
      if marks[i + 1].units - marks[i].units < marks[closest + 1].units - marks[closest].units then closest = i end
    end
    marks[closest + 1].units = marks[closest].units
    table.remove(marks, closest)
  end
end

-- The meter that is kept at `key` as `kept`, as it stands now; one that is not kept (false) is empty.
local function read(key, limit, kept)
  local meter = {key = key, limit = limit, units = 0, part = 0, marks = {}}
  if not kept then return meter end
  local units, part, at, position = unpack_at('<ddd', kept)
  while position <= #kept do
    local one = {}
    one.number, one.units, position = unpack_at('<dd', kept, position)
    meter.marks[#meter.marks + 1] = one
  end
  local elapsed = math.min(math.max(now - at, 0), LONGEST_MS)
  local drained = (limit % WINDOW_MS) * elapsed
  units = units - floor(limit / WINDOW_MS) * elapsed - floor(drained / WINDOW_MS)
  part = part - drained % WINDOW_MS
  if part < 0 then units, part = units - 1, part + WINDOW_MS end
  if units >= 0 then meter.units, meter.part = units, part end
  -- After the clock was set back, a meter that only refuses would stand still until the clock is where it was.
  meter.stale = now < at
  return meter
end

local function write(meter)
  local ttl_ms = time_to_empty(meter) + 1
  meter.units = math.min(meter.units, MOST_UNITS)
  local kept = {pack('<ddd', meter.units, meter.part, now)}
  for _, one in ipairs(meter.marks) do kept[#kept + 1] = pack('<dd', one.number, one.units) end
  redis.call('SET', meter.key, table.concat(kept), 'PX', ttl_ms)
end

-- Numbers this event on the meter, higher than every event before, and marks the level it found.
local function begin_event(meter)
  local last = meter.marks[#meter.marks]
  local number = math.max(now_us, last and last.number + 1 or 0)
  mark(meter.marks, number, meter.units)
  return number
end
