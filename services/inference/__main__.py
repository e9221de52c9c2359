"""`python -m services.inference`: serve one model; `check` validates the settings."""

from chassis.run import main

from .app import build
from .settings import Settings

if __name__ == "__main__":
    main("inference", Settings, build)
