"""Run billing: `python -m services.billing [serve|check|migrate|reprocess|verify|invoice]`."""

import sys

from chassis.run import main
from chassis.settings import load
from services.billing import invoice_command
from services.billing.app import build
from services.billing.commands import migrate, reprocess, verify
from services.billing.settings import Settings

if __name__ == "__main__":
    if sys.argv[1:2] == ["invoice"]:
        raise SystemExit(invoice_command.main(sys.argv[2:], load(Settings)))
    main("billing", Settings, build, {"migrate": migrate, "reprocess": reprocess, "verify": verify})
