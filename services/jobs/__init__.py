"""jobs: work that outlives a request. So far it is what is known about files, and answers that were to be kept.

Owns the metadata of files (name, purpose, size, when they came and when they go) and stored answers with what was asked
(chat completions, responses), in PostgreSQL, schema `jobs`.

Promises that a file recorded once or many times under one id is recorded once; that a tenant (an organisation and a
project of it) sees its own files and cannot even tell whether another's exist, because every statement goes through
one place that adds the tenant, and the database holds it to its organisation; that a file which has expired is gone on
the spot, whenever its row is removed.

Must not: hold the bytes of a file, make up ids (the caller does, so that its retries are harmless), or trust a name:
one that could be a path or break a line is refused.
"""
