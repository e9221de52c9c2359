"""The kinds of conversations, one function each, grouped by what the model has to do in them.

A kind takes a `Draw` and returns a `Conversation`; it chooses by the draw alone, so that the same seed makes
the same corpus.
"""
