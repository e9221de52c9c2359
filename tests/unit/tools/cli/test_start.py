"""What is told during a start."""

import io
from collections.abc import Iterator

from tools.cli.start import awaited, show_start
from tools.local.progress import Progress
from tools.local.state import Phase, State, UnitState


def told(**phases: Phase) -> State:
    return State(
        1, 0.0, units=[UnitState(name, phase, endpoint=f"at {name}", took_s=1.0) for name, phase in phases.items()]
    )


def test_what_is_awaited_is_named_with_its_reason() -> None:
    state = told(auth=Phase.READY, router=Phase.WAITING, inference=Phase.STARTING)
    state.unit("inference").note = "engine: loading"
    assert awaited(state) == "waiting for inference (engine: loading)"


def test_with_nothing_under_way_nothing_is_awaited() -> None:
    assert awaited(told(auth=Phase.READY)) == ""


def test_each_part_is_announced_once_when_it_is_ready() -> None:
    def states() -> Iterator[State]:
        yield told(auth=Phase.STARTING, gateway=Phase.WAITING)
        yield told(auth=Phase.READY, gateway=Phase.STARTING)
        yield told(auth=Phase.READY, gateway=Phase.READY)

    stream = io.StringIO()
    show_start(states(), Progress(stream, live=False))
    lines = stream.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["auth", "gateway", "Starting"]
    assert "at gateway" in lines[1]
