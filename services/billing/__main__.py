"""Run billing: `python -m services.billing [serve|check|migrate|reprocess|verify]`."""

from chassis.run import main
from services.billing.app import build
from services.billing.commands import migrate, reprocess, verify
from services.billing.settings import Settings

if __name__ == "__main__":
    main("billing", Settings, build, {"migrate": migrate, "reprocess": reprocess, "verify": verify})
