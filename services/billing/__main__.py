"""Run billing: `python -m services.billing [serve|check|migrate|verify|parked|invoice|credit|terms]`."""

import sys

from chassis.run import main
from chassis.settings import load
from services.billing import account_command, invoice_command, parked_command, verify_command
from services.billing.app import build
from services.billing.commands import migrate
from services.billing.settings import Settings

COMMANDS = {
    "invoice": invoice_command.main,
    "verify": verify_command.main,
    "parked": parked_command.main,
    "credit": account_command.credit,
    "terms": account_command.terms,
}
"""Those that take arguments."""

if __name__ == "__main__":
    if sys.argv[1:] and (command := COMMANDS.get(sys.argv[1])):
        raise SystemExit(command(sys.argv[2:], load(Settings)))
    main("billing", Settings, build, {"migrate": migrate})
