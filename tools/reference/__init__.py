"""How much of OpenAI's API is served, counted against OpenAI's own document: the tables of docs/api.md.

    python -m tools.reference            write them
    python -m tools.reference --check    fail when they are not what would be written

Owns the counting. Promises that nobody types a number: both sides are OpenAPI documents, ours made from the models that
judge requests. Where OpenAI's document is not at hand there is nothing to compare with, and the check passes saying so.

    document   what a schema's properties are: pure
    score      two documents to what is there and what is missing: pure
    page       scores to Markdown, and where in the page it stands: pure
"""
