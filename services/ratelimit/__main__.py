"""Run ratelimit: `python -m services.ratelimit [serve|check|audit]`."""

import sys

from chassis.run import main
from chassis.settings import load

from . import audit_command
from .app import build
from .settings import Settings

if __name__ == "__main__":
    if sys.argv[1:2] == ["audit"]:
        raise SystemExit(audit_command.main(sys.argv[2:], load(Settings)))
    main("ratelimit", Settings, build)
