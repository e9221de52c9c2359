"""What every service is built on.

Owns the life of a process (settings, start-up, readiness, drain, exit), the edges of a process (gRPC in and out, the
operations port), and the few primitives all services need (typed errors, clock, ids, coalescing, PostgreSQL, Valkey).

Promises that each module can be used alone, that nothing happens on import, and that clock, randomness and ids are
arguments. It names no service and knows no message of theirs but `capstan.errors.v1`.
"""
