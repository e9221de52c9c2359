"""Generates the Python stubs of the protos.

Owns `protos/gen/`: nobody edits there. Promises that the same protos and the same generator versions (the lock file's)
give the same bytes, so that `--check` can tell when the committed stubs are stale. Needs the `[dev]` extra, no network.
"""
