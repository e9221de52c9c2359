"""router: which replica serves this request, and which models there are.

Owns what is known of every replica (what it serves, how busy it is, how its last requests went) and of the requests
that were placed there and have not left. All of it is soft state: a router that restarts knows everything again within
a second or two of watching.

Promises that a replica which is silent, stalled, full or failing gets no requests while another can take them; that one
that comes back is tried gently; that never more than half of a pool is shut out for failing; that a placement which
nobody releases is forgotten after a while.

Must not carry tokens, must not wait for anything while it places, and must not decide what a request may cost.
"""
