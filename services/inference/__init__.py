"""One model on one engine, behind one gRPC service.

Owns the engine (vLLM, or a simulator for load and fault tests), the way from a conversation to token ids and from
tokens back to text, reasoning and tool calls, and the sessions over which gateways get their tokens: one frame per
engine step for all requests of a gateway.

Promises that what reaches the engine was rebuilt and checked here and is never a client's bytes; that one tenant's
prompts cannot be probed by another through the prefix cache; that a broken or stalled session leaves no request behind;
that characters are never cut; and that an engine that is dead or makes no progress says so instead of looking healthy.

Must not: know prices, limits, keys or HTTP; choose replicas; retry. It keeps nothing on disk.
"""
