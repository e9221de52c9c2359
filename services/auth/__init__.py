"""Who is calling, and what may they do.

Owns organisations, projects, users, service accounts, their keys, and the log of who made and ended keys, in the
PostgreSQL schema `auth`. Promises: a key itself is never stored, logged or sent; a revoked key stops working at once
where the push arrives, after 60 s where it does not, after 300 s when the database is away as well; a key that was seen
before goes on working while the database is away, and one that was not is UNAVAILABLE, never "invalid"; the service
starts and recovers without the database and without a restart.

Must not: see prompts, count anything, or be asked twice for what a gateway can remember.

    principals  what a key's row means now: pure
    tiers       how much an organisation of each tier may do: data
    peppers     how digests become what is stored: pure
    cache       what was found lately, and how far it can be believed: pure
    directory   cache, then database, one lookup at a time
    watch       what changed, from the database to every listening gateway
    uses        when keys were last used, written in batches
    store       the tables
    bootstrap   the first organisation, project, user and key
"""
