"""The gateway's side of every service it calls: stubs, deadlines and translation, one module each.

Only these modules know generated messages; the rest of the gateway sees plain values and typed errors.
"""
