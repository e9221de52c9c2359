"""The head of the moderation classifier: where its numbers come from.

    python -m tools.moderation_head.train             train, and write services/moderation/head.npz
    python -m tools.moderation_head.train --check     train, and fail when the committed head is another one
    python -m tools.moderation_head.evaluate          recall and false alarms on sentences it was not trained on

Owns the sentences (data/*.tsv) and the method. Promises that training is deterministic and needs nothing but numpy and
the encoder of the service itself, so that what is measured here is what is served. README.md has the results.
"""
