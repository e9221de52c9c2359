"""Run the gateway: `python -m services.gateway [serve|check|journal]`."""

import sys

from chassis.run import main
from chassis.settings import load
from services.gateway import journal_command
from services.gateway.app import build
from services.gateway.settings import Settings

if __name__ == "__main__":
    if sys.argv[1:2] == ["journal"]:
        raise SystemExit(journal_command.main(load(Settings)))
    main("gateway", Settings, build)
