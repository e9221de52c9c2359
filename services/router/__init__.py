"""router: which replica serves this request, and which models there are.

Owns what is known of every replica (what it serves, how busy it is, how its last requests went), of the requests that
were placed there and have not left, and of those that wait for room; and, where models may sleep, whether one has a
replica at all. All of it is soft state: a router that restarts knows everything again within a second or two of
watching, and two routers agree because what they decide by is the same: a hash ring over the replicas, and what the
replicas report.

Promises that a replica which is silent, stalled, full or failing gets no requests while another can take them; that one
that comes back is tried gently; that never more than half of a pool is shut out for failing; that what killed two
replicas is not shown a third; that whoever waits is served in the order of urgency and fairness, or refused with an
honest hint; that a placement which nobody releases is forgotten after a while; that a model is woken for who waits for
it, and put to sleep only when all its replicas were unused for long.

Must not carry tokens, must not wait for anything while it places, and must not decide what a request may cost.
"""
