#!lua
-- The arithmetic of one rate. kinds.lua and a script are run with this text before them; arithmetic.py is the same in
-- exact integers, and the tests hold the two together.
--
-- A rate's meter is a level that drains at `limit` units per minute (GCRA, seen as a leaky bucket) and must stay within
-- `cap`. A level is kept as whole units and 60,000ths of one, so that it is exact in doubles for limits and costs up to
-- 10^12. Stored are doubles, since writing numbers as text and reading them again took most of the time: units, part,
-- time in ms, then number and units of each mark.
-- The time is the server's own: callers whose clocks differ cannot disagree.

local WINDOW_MS = 60000
local MOST_UNITS = 1e15
local LONGEST_MS = 30 * 86400000
local MOST_MARKS = 16
local PENALTY = WINDOW_MS / 1000
local NEVER = -1
local UNKNOWN = -2

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

-- How long until the meter's cost fits: 0 at once, NEVER.
local function time_to_fit(meter)
  if meter.cost == 0 or used(meter) + meter.cost <= meter.cap then return 0 end
  if meter.cost > meter.cap then return NEVER end
  return time_to_drain(meter.units + meter.cost - meter.cap, meter.part, meter.limit)
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

-- Makes `meter`, which has a key and a limit, the one that is kept as `kept`, as it stands now; not kept (false): empty.
local function read(meter, kept)
  meter.units, meter.part, meter.marks = 0, 0, {}
  if not kept then return end
  local units, part, at, position = unpack_at('<ddd', kept)
  while position <= #kept do
    local one = {}
    one.number, one.units, position = unpack_at('<dd', kept, position)
    meter.marks[#meter.marks + 1] = one
  end
  local elapsed = math.min(math.max(now - at, 0), LONGEST_MS)
  local drained = (meter.limit % WINDOW_MS) * elapsed
  units = units - floor(meter.limit / WINDOW_MS) * elapsed - floor(drained / WINDOW_MS)
  part = part - drained % WINDOW_MS
  if part < 0 then units, part = units - 1, part + WINDOW_MS end
  if units >= 0 then meter.units, meter.part = units, part end
  -- After the clock was set back, a meter that only refuses would stand still until the clock is where it was.
  meter.stale = now < at
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

-- Makes the charge of number `event` smaller by `units`, as if it had been so from the start: by no more than the lowest
-- level since, for what has drained meanwhile was not there to be used by others, and giving it back would admit a
-- second burst.
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

-- Charges a refused request its thousandth of a unit. The level stays within the cap: who hammers waits, and no longer
-- than for the next unit.
local function penalize(meter)
  if meter.units >= meter.cap then return end
  meter.part = meter.part + PENALTY
  if meter.part >= WINDOW_MS then meter.units, meter.part = meter.units + 1, meter.part - WINDOW_MS end
  if meter.units >= meter.cap then meter.part = 0 end
end
