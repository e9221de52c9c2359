"""Rate limits: reserve before, settle after.

Owns the meters of requests and tokens per minute, in Valkey. Promises: a request is charged against all its limits at
once or against none; nobody is admitted above `limit + limit * time` of any meter, over any span of time, however many
gateways ask at once and whatever is settled when; a request id is charged once; what a crashed caller reserved drains
away by itself. Keeps nothing in memory: every replica answers for every organisation, and a lost Valkey means empty
meters, never a stuck one.

Must not: trust a caller's clock, know what a limit is good for or where its number comes from (the gateway passes it),
or decide what happens while Valkey is away: it answers UNAVAILABLE, and the gateway goes on with a meter of its own.

    meters      what is asked and answered, and how it is written for the scripts: pure
    arithmetic  what the scripts compute, in exact integers: their definition
    scripts/    the same in Lua, run inside Valkey
    answers     who does the work of a request with an idempotency key, and what came of it, for all gateways
    store       batches of items through the scripts
"""
