"""`python -m services.auth [serve|check|migrate|bootstrap|admin-key]`."""

from chassis.run import main

from .app import build
from .commands import admin_key, bootstrap, migrate
from .settings import Settings

if __name__ == "__main__":
    main("auth", Settings, build, {"migrate": migrate, "bootstrap": bootstrap, "admin-key": admin_key})
