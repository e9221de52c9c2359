"""Rate limits: reserve before, settle after.

Owns, in Valkey, the meters of requests and tokens per minute and per day, the leases of running requests, and what is
spent and held of budgets. Promises: a request is charged against all its limits at
once or against none; nobody is admitted above `limit + limit * time` of any meter, over any span of time, however many
gateways ask at once and whatever is settled when; a budget is never exceeded by what was not let in before; a request
id is charged once; what a crashed caller reserved is free again by itself. Keeps nothing in memory: every replica
answers for every organisation, and a lost Valkey means empty meters, never a stuck one. Of a budget nothing is assumed:
where nothing is known, nothing is spent until the caller says what billing has posted.

Must not: trust a caller's clock, know what a limit is good for or where its number comes from (the gateway passes it),
or decide what happens while Valkey is away: it answers UNAVAILABLE, and the gateway goes on with a meter of its own.

    meters      what is asked and answered: plain values
    checks      what is refused before it comes to the scripts
    calls       how both are written for the scripts, under which keys
    arithmetic  what the scripts compute, in exact integers: their definition
    scripts/    the same in Lua, run inside Valkey
    audit       how all budgets stand, for whoever checks the books
    reaper      ended holds of budgets that nobody asks about, given back
    answers     who does the work of a request with an idempotency key, and what came of it, for all gateways
    store       batches of items through the scripts
"""
