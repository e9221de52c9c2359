"""Run moderation: `python -m services.moderation [serve|check]`."""

import os

if __name__ == "__main__":
    # Read when numpy is imported, hence here. One thread judges, and a pod gets more work done by more replicas than by
    # threads that wait for each other at every small product.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from chassis.run import main
    from services.moderation.app import build
    from services.moderation.settings import Settings

    main("moderation", Settings, build)
