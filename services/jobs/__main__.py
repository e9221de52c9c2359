"""Run jobs: `python -m services.jobs [serve|check|migrate]`."""

from chassis.run import main
from services.jobs.app import build
from services.jobs.commands import migrate
from services.jobs.settings import Settings

if __name__ == "__main__":
    main("jobs", Settings, build, {"migrate": migrate})
