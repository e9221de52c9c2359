"""`python -m services.ratelimit`: run the service; `check` validates its settings."""

from chassis.run import main

from .app import build
from .settings import Settings

if __name__ == "__main__":
    main("ratelimit", Settings, build)
