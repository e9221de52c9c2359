"""billing: what was used and what it costs.

Owns the usage events, one for each request that was served, and the double-entry ledger that follows from them; the
price book, whose versions never change; and the totals an organisation owes. Keeps all of it in PostgreSQL, schema
`billing`.

Promises that an event delivered once or many times, in any order, by any number of gateways, is charged exactly once;
that an acknowledgement means a commit; that what cannot be priced is kept aside and holds up nothing; that amounts are
integers (nano-dollars, rounded once per event) which anybody can recompute from the stored row (`verify`). The database
holds each transaction to one organisation's rows, or to what its reach needs of all (`reaches`).

Must not be needed while a request is in flight: gateways keep what they owe in their journals while billing is away.
"""
