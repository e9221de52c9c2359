-- What can be counted, each kind with the same verbs. `one` is a charge: key, limit, cap, cost; settle and renew see the
-- event and the cost that reserve wrote down.
--
--   open(one, kept)     look how it stands; `kept` is the value of its key, where that is a string
--   wait(one)           ms until the cost fits, 0, NEVER or UNKNOWN
--   charge(one)         take the cost; answers what settle needs to know of the moment
--   used(one), reset(one)
--   settle(one, actual) put what was used in the place of the cost
--   renew(one, tokens)  it still runs and has used so many tokens; answers the cost from now on

local DAY_MS = 86400000
local LEASE_MS = 30000
local RUNNING_WAIT_MS = 1000
local MOST_MONEY = 9e15
local BUDGET_TTL_MS = 45 * DAY_MS
local MOST_EXPIRED = 100

local request_id = string.match(KEYS[1], ':reservation:(.+)$')
local hold_ms
local kinds = {rate = {}, day = {}, running = {}, money = {}}

-- A rate per minute.

function kinds.rate.open(one, kept) read(one, kept) end
kinds.rate.wait, kinds.rate.used, kinds.rate.reset = time_to_fit, used, time_to_empty

function kinds.rate.charge(one)
  local event = 0
  if one.refundable then event = begin_event(one) end
  one.units = one.units + one.cost
  write(one)
  return event
end

local function add(one, units)
  if one.limit == 0 then return end
  begin_event(one)
  one.units = one.units + units
  write(one)
end

function kinds.rate.settle(one, tokens)
  local more = tokens - one.cost
  if more == 0 then return end
  read(one, redis.call('GET', one.key))
  if more > 0 then
    add(one, more)
  else
    give_back(one, one.event, -more)
    write(one)
  end
end

-- The charge keeps its first event. A later refund is then bounded by the lowest level since that, which is never too
-- much.
function kinds.rate.renew(one, tokens)
  if tokens <= one.cost then return one.cost end
  read(one, redis.call('GET', one.key))
  add(one, tokens - one.cost)
  return tokens
end

-- A count per day, from midnight to midnight UTC: the number of the day and the units.

function kinds.day.open(one, kept)
  one.day, one.units = floor(now / DAY_MS), 0
  if kept then
    local day, units = unpack_at('<dd', kept)
    -- A clock that was set back does not begin the day anew.
    if day >= one.day then one.day, one.units = day, units end
  end
end

function kinds.day.reset(one) return (one.day + 1) * DAY_MS - now end
function kinds.day.used(one) return one.units end

function kinds.day.wait(one)
  if one.cost == 0 or one.units + one.cost <= one.cap then return 0 end
  if one.cost > one.cap then return NEVER end
  return kinds.day.reset(one)
end

local function write_day(one)
  local ttl_ms = kinds.day.reset(one)
  redis.call('SET', one.key, pack('<dd', one.day, math.min(one.units, MOST_UNITS)), 'PX', ttl_ms)
end

function kinds.day.charge(one)
  one.units = one.units + one.cost
  write_day(one)
  return one.day
end

function kinds.day.settle(one, tokens)
  local more = tokens - one.cost
  if more == 0 then return end
  kinds.day.open(one, redis.call('GET', one.key))
  if one.day ~= one.event then return end -- yesterday's count is gone
  one.units = math.max(0, one.units + more)
  write_day(one)
end

function kinds.day.renew(one, tokens)
  if tokens <= one.cost then return one.cost end
  kinds.day.settle(one, tokens)
  return tokens
end

-- Requests under way: a sorted set of request ids by the end of their leases.

function kinds.running.open(one)
  redis.call('ZREMRANGEBYSCORE', one.key, '-inf', now)
  one.units = redis.call('ZCARD', one.key)
end

function kinds.running.used(one) return one.units end
function kinds.running.reset() return 0 end

function kinds.running.wait(one)
  if one.units + one.cost <= one.cap then return 0 end
  return one.cost > one.cap and NEVER or RUNNING_WAIT_MS
end

function kinds.running.charge(one)
  redis.call('ZADD', one.key, now + LEASE_MS, request_id)
  redis.call('PEXPIRE', one.key, LEASE_MS)
  one.units = one.units + 1
  return 0
end

function kinds.running.settle(one) redis.call('ZREM', one.key, request_id) end

function kinds.running.renew(one)
  kinds.running.charge({key = one.key, units = 0})
  return one.cost
end

-- Money of a budget: a hash of what is posted and what is held, and a sorted set of the holds by their ends. Amounts are
-- whole nano-dollars: HINCRBY counts in 64 bits, comparisons are exact in doubles up to 9 * 10^15.

local function text(number) return string.format('%.0f', number) end

local function holds(one) return one.key .. ':holds' end

local function release(one, hold)
  if redis.call('ZREM', holds(one), hold) == 0 then return end
  redis.call('HINCRBY', one.key, 'held', '-' .. string.match(hold, '^%d+'))
end

-- Gives back what ended, so many at a time; answers how many.
local function release_ended(one)
  local ended = redis.call('ZRANGEBYSCORE', holds(one), '-inf', now, 'LIMIT', 0, MOST_EXPIRED)
  for _, hold in ipairs(ended) do release(one, hold) end
  return #ended
end

function kinds.money.open(one)
  release_ended(one)
  if one.seed ~= '' then
    redis.call('HSETNX', one.key, 'posted', one.seed)
    redis.call('PEXPIRE', one.key, BUDGET_TTL_MS)
  end
  local both = redis.call('HMGET', one.key, 'posted', 'held')
  one.known = both[1] and true or false
  local posted = tonumber(both[1] or '0')
  -- Billing posts later than is settled here, so where it has posted more, that was never settled here and will not be.
  if one.known and posted < one.floor then
    posted = one.floor
    redis.call('HSET', one.key, 'posted', text(posted))
  end
  one.units = posted + tonumber(both[2] or '0')
end

function kinds.money.used(one) return one.units end
function kinds.money.reset() return 0 end

function kinds.money.wait(one)
  if not one.known then return UNKNOWN end
  return one.units + one.cost <= one.cap and 0 or NEVER
end

function kinds.money.charge(one)
  redis.call('ZADD', holds(one), now + hold_ms, text(one.cost) .. ':' .. request_id)
  redis.call('HINCRBY', one.key, 'held', text(one.cost))
  redis.call('PEXPIRE', one.key, BUDGET_TTL_MS)
  redis.call('PEXPIRE', holds(one), BUDGET_TTL_MS)
  one.units = one.units + one.cost
  return 0
end

-- What nobody has seeded is not posted to: whoever seeds it asks billing, which knows.
function kinds.money.settle(one, _, amount)
  release(one, text(one.cost) .. ':' .. request_id)
  local posted = redis.call('HGET', one.key, 'posted')
  if posted and amount > 0 then
    redis.call('HSET', one.key, 'posted', text(math.min(tonumber(posted) + amount, MOST_MONEY)))
    redis.call('PEXPIRE', one.key, BUDGET_TTL_MS)
  end
end

function kinds.money.renew(one) return one.cost end

-- A reservation: of each charge that can change, its kind, event, limit, cost and key.

local function entry(kind, event, limit, cost, key) return pack('<sddds', kind, event, limit, cost, key) end

local function entries(record)
  local position = 1
  return function()
    if position > #record then return end
    local one = {}
    one.kind, one.event, one.limit, one.cost, one.key, position = unpack_at('<sddds', record, position)
    return one
  end
end
