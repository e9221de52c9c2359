"""The reference pages that are counted or read off, not written: the tables of docs/api.md, docs/reference/settings.md.

    python -m tools.reference            write them
    python -m tools.reference --check    fail when they are not what would be written

Promises that nobody types a number or a default. How much of OpenAI's API is served is counted against OpenAI's own
document: both sides are OpenAPI documents, ours made from the models that judge requests. Where OpenAI's is not at hand
there is nothing to compare with, and the check passes saying so. Settings are read off the classes that read them.

    document   what a schema's properties are: pure
    score      two documents to what is there and what is missing: pure
    settings   settings classes to Markdown: pure but for importing them
    page       scores to Markdown, and where in the page it stands: pure
"""
