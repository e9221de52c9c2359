"""Run router: `python -m services.router [serve|check]`."""

from chassis.run import main
from services.router.app import build
from services.router.settings import Settings

if __name__ == "__main__":
    main("router", Settings, build)
