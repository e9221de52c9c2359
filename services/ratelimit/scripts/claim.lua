-- Asks for the right to do a keyed request's work.
--
-- KEYS: the key's record. ARGV: fingerprint, claimant, lease in ms.
-- Reply: the state's number, then the answer, if one is kept.

local GRANTED, RUNNING, KEPT, USED, OTHER = 1, 2, 3, 4, 5

local fingerprint, claimant, state, answer = unpack(redis.call('HMGET', KEYS[1], 'fingerprint', 'claimant', 'state', 'answer'))
if not fingerprint then
  redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'claimant', ARGV[2], 'state', RUNNING)
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {GRANTED}
end
if fingerprint ~= ARGV[1] then return {OTHER} end
state = tonumber(state)
if state == KEPT then return {KEPT, answer} end
if state ~= RUNNING or claimant ~= ARGV[2] then return {state} end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {GRANTED}
