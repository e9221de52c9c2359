"""`python -m services.gateway`."""

from chassis.run import main
from services.gateway.app import build
from services.gateway.settings import Settings

if __name__ == "__main__":
    main("gateway", Settings, build)
