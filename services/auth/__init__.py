"""Who is calling, and what may they do.

Owns organisations, projects, users, service accounts, groups, roles, their keys and limits, and the log of every
change, in the PostgreSQL schema `auth`. Promises: a key itself is never stored, logged or sent; a key does what its
owner may do now and no more; what changes that works at once where the push arrives, after 60 s where it does not,
after 300 s when the database is away as well; a key that was seen before goes on working while the database is away,
and one that was not is UNAVAILABLE, never "invalid"; the service starts and recovers without the database and without
a restart; no statement sees more than one organisation, whatever it says.

Must not: see prompts, count anything, or be asked twice for what a gateway can remember.

    principals  what a key's row means now: pure
    permissions what there is to be permitted, and what predefined roles permit: pure
    authority   which permission each method of the administration needs: pure
    limits      the numbers of rate limits, and which of them bind: pure
    tiers       how much an organisation of each tier may do: data
    fields      what the fields of requests may hold: pure
    peppers     how digests become what is stored: pure
    cache       what was found lately, and how far it can be believed: pure
    directory   cache, then database, one lookup at a time
    watch       what changed, from the database to every listening gateway
    uses        when keys were last used, written in batches
    tenancy     transactions, each on the rows of one organisation
    store       keys found by their hash
    minting     keys made
    audit       the log, written
    bootstrap   the first organisation, project, user and keys
    wire        values as messages
    admin       the administration, noun by noun
"""
