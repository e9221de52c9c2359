"""Makes `.venv`: what `make up` and `make test` do first, with nothing but the standard library and pip.

    python3 -m tools.install cpu     what `make up` needs: services, stores, the CPU engine
    python3 -m tools.install dev     the same and what the tests need

Promises: only what the lock files name is installed, each file checked by its hash; PyTorch is the CPU build or
nothing; the second run takes less than a second; two at once take turns; whatever goes wrong is one sentence, with
the place of the full log.

Must not: touch anything outside `.venv`, or need a Python newer than the oldest it may have to refuse politely.
"""
