"""The endpoints: one module each, one handler each, and each handler tells its request's whole story.

`hot` is what they share: key, body, errors, the client that may leave.
"""
