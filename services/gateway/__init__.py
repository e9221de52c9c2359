"""The only public port: OpenAI's HTTP API in, gRPC out.

Owns the translation between the two, the order of judgement (key, JSON, limits, policy, dispatch), the one retry
before the first byte, and the usage journal. A request's story reads in one place: `api/chat.py` tells it,
`admission.py` is the way in and out of paid work, `generation.py` gets tokens, `stream.py` writes them.

Promises: every accepted request is in the journal before its last byte leaves, and settled once, whatever ended it. A
wrong request is a 4xx in OpenAI's envelope, a dependency that is away a 503, never the other way round.

Must not: know a price, decide which replica is best, or hold a stub outside `peers`.
"""
