"""`python -m services.auth [serve|check|migrate|bootstrap]`."""

from chassis.run import main

from .app import build
from .commands import bootstrap, migrate
from .settings import Settings

if __name__ == "__main__":
    main("auth", Settings, build, {"migrate": migrate, "bootstrap": bootstrap})
