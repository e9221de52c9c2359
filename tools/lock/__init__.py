"""How the lock files are made.

`python -m tools.lock` resolves `pyproject.toml` with uv for CPython 3.11 to 3.13 on every platform at once and writes
three files with hashes, each containing the one before:

    requirements.lock       the services, as in their image
    requirements-cpu.lock   + the local stores, the command line, vLLM's CPU build
    requirements-dev.lock   + what tests and builds need

The largest is resolved first and constrains the others, so that one version of a package is everywhere.

Promises: existing pins stay unless `--upgrade` is given; nothing younger than seven days gets in; PyTorch is not in
the files, because its CPU build has versions (`+cpu`) that only some sources offer: `tools.install` takes exactly that.

Must not: run in CI or at install time; installing needs pip alone.
"""
