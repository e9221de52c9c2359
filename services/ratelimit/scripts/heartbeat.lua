-- Notes that a gateway lives and answers how many do.
--
-- KEYS: the sorted set of gateways by when they were last heard of. ARGV: the gateway, ms after which one is forgotten.

redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
