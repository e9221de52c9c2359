"""moderation: is this text allowed.

Owns the judgement of text in OpenAI's thirteen categories: a small language model reads a text sentence by sentence,
a head trained on the sentences in tools/moderation_head scores each, and the worst counts. Promises that every verdict
has all thirteen categories; that the same text is judged the same by every replica, whatever it was batched with; that
a small call does not wait behind all of a large one; that no text is kept, logged or learned from.

Must not: know tenants or policies (the gateway decides what a verdict means), or import torch: the whole process is
about 60 MB of its own and 80 MB of mapped files, half of them the model's, shared with the other replicas of a machine.

    categories  what a text can be flagged for: pure
    weights     the model's tensors, mapped from their file
    windows     text to tokens, sentence by sentence
    encoder     tokens to features: the model
    head        features to scores: what was trained
    classifier  the three together
    batches     calls that wait for the processor, and how they share it
"""
