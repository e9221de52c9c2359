"""Capstan on one machine: the whole suite as ordinary processes under one supervisor.

Owns the data folder and everything that runs out of it: PostgreSQL and Valkey from their Python packages, the
services, their settings, sockets, logs and secrets, and the order in which they start and stop. The tests use the
same code as `make up`, so there is no test-only way to start anything.

Promises: whatever it started it also ends, after Ctrl-C, after a crash and after SIGKILL of the supervisor; nothing
listens on anything but loopback and unix sockets in a folder of mode 0700; every wait has a bound and says what it
waits for.

Must not: know what a service does, import one, or need anything but the standard library (the store packages
only lend their programs), so that it stays a small process.
"""
