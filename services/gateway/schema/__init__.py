"""What clients may send, and what they get: the OpenAI API as types.

Owns every rule that a body can break by itself, before anybody else sees it, and the shapes of the answers as /docs
shows them. A validated request is immutable; what the engine gets is built from it, never from the client's bytes.

Promises: each wrong body is one `ApiError` with OpenAI's status, code, param and words; no text of pydantic's ever gets
out; one pass in C and Rust over the body, and Python code only where a rule spans fields.

Must not: know a service, a limit of an account, or which models exist.
"""
