"""`capstan up` and `capstan down`: start and stop, and show what is going on meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from tools.cli.greeting import Greeting
from tools.cli.place import typed_command
from tools.local import launch
from tools.local.folder import DataFolder
from tools.local.plan import Plan
from tools.local.problem import Problem
from tools.local.process import how_it_ended
from tools.local.progress import Progress
from tools.local.roster import served_model
from tools.local.state import Phase, State


def up(plan: Plan, progress: Progress, *, foreground: bool) -> str:
    """Start `plan`, or join the start that is under way; returns what to tell the user when everything is ready.

    Raises:
        Problem: it did not start; nothing runs then.
        KeyboardInterrupt: the user changed his mind; what was started here has been stopped.
    """
    folder = DataFolder(plan.data_dir)
    other = launch.running(folder)
    if other is not None:
        _refuse_another(plan, other)
        if other.phase is not Phase.READY:
            show_start(launch.watch_other(folder), progress)
        if launch.running(folder) is None:
            raise Problem(f"The start under way has failed: look at it with `{typed_command()} logs`.")
        return _greeting(plan, folder, fresh=False, took_s=None)
    fresh = not folder.api_key.exists()
    started = launch.start(plan, tied=foreground)
    ready = False
    try:
        show_start(launch.follow(started), progress)
        ready = True
        text = _greeting(plan, folder, fresh=fresh, took_s=progress.elapsed_s)
        if foreground:
            progress.line(text + "\n\nCtrl-C stops it.")
            status = started.process.wait()
            if status < 0:
                raise Problem(f"The supervisor was ended ({how_it_ended(status)}), and everything with it.")
            return ""
    except KeyboardInterrupt:
        if not started.joined:
            down(folder, progress, hurried=not ready)
        raise
    started.release()
    return text


def down(folder: DataFolder, progress: Progress, *, hurried: bool = False) -> bool:
    """Stop what runs in `folder`; returns False if nothing did."""
    if launch.running(folder) is None:
        return False
    with progress.step("Stopping") as step:
        for told in launch.stop(folder, hurried=hurried):
            left = [unit.name for unit in told.units if unit.phase is Phase.STOPPING]
            step.say(f"waiting for {', '.join(left)}" if left else "")
        step.say("")
    return True


def show_start(states: Iterator[State], progress: Progress) -> None:
    """Show a start: a line for each part as it gets ready, and what is still awaited."""
    shown: set[str] = set()
    with progress.step("Starting") as step:
        for told in states:
            for unit in told.units:
                if unit.phase in (Phase.READY, Phase.DONE) and unit.name not in shown:
                    shown.add(unit.name)
                    progress.interject(unit.name, unit.endpoint, unit.took_s)
            step.say(awaited(told))
        step.say("everything is ready")


def awaited(told: State) -> str:
    """What a start still waits for, in a few words."""
    open_units = [unit for unit in told.units if unit.phase in (Phase.STARTING, Phase.RESTARTING)]
    words = [f"{unit.name} ({unit.note})" if unit.note else unit.name for unit in open_units]
    return f"waiting for {', '.join(words)}" if words else ""


def _refuse_another(plan: Plan, other: State) -> None:
    asked = plan.public()
    if not plan.admin_port:
        del asked["admin_port"]
    differences = [
        f"{name.replace('_', ' ')} {other.plan[name]}"
        for name, value in asked.items()
        if other.plan.get(name, value) != value
    ]
    if differences:
        raise Problem(
            f"Capstan already runs in this data folder with {' and '.join(differences)}: "
            f"`{typed_command()} down` first, or choose another folder with --data-dir."
        )


def _greeting(plan: Plan, folder: DataFolder, *, fresh: bool, took_s: float | None) -> str:
    key = folder.api_key.read_text().strip() if fresh and folder.api_key.exists() else ""
    model, url = served_model(plan.model), plan.admin_url
    return Greeting(plan.base_url, key, folder.api_key, model, url, typed_command(), took_s).text()
