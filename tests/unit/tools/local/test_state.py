"""The state file: whole or not there, and never believed when it is damaged."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.local import state
from tools.local.state import Phase, State, UnitState


def example() -> State:
    units = [UnitState("auth", Phase.READY, pid=12, took_s=1.5, endpoint="unix:/a"), UnitState("migrate", Phase.DONE)]
    return State(7, 1_800_000_000.0, Phase.READY, plan={"port": 8000}, base_url="http://127.0.0.1:8000/v1", units=units)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    state.write(tmp_path / "state.json", example())
    assert state.read(tmp_path / "state.json") == example()


def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    state.write(tmp_path / "state.json", example())
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert state.read(tmp_path / "state.json") is None


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"format": 1}',
        '{"format": 2, "pid": 1, "started_at": 0, "phase": "ready", "units": []}',
        '{"format": 1, "pid": "x", "started_at": 0, "phase": "ready", "units": []}',
        '{"format": 1, "pid": 1, "started_at": 0, "phase": "no such phase", "units": []}',
        '{"format": 1, "pid": 1, "started_at": 0, "phase": "ready", "units": [{"name": "a"}]}',
        '{"format": 1, "pid": 1, "started_at": 0, "phase": "ready", "units": 5}',
        '{"format": 1, "pid": 1, "started_at": 0, "phase": "ready", "units": [], "more": 1}',
    ],
)
def test_a_damaged_file_is_no_state(tmp_path: Path, damage: str) -> None:
    (tmp_path / "state.json").write_text(damage)
    assert state.read(tmp_path / "state.json") is None


@given(st.binary(max_size=64), st.integers(0, 400))
def test_a_file_that_was_overwritten_in_places_never_breaks_the_reader(
    tmp_path_factory: pytest.TempPathFactory, rubbish: bytes, where: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "rubbish.json"
    state.write(path, example())
    body = bytearray(path.read_bytes())
    body[where : where + len(rubbish)] = rubbish
    path.write_bytes(body)
    told = state.read(path)
    assert told is None or isinstance(told, State)


def test_a_folder_that_is_gone_costs_only_the_news(tmp_path: Path) -> None:
    state.write(tmp_path / "gone" / "state.json", example())
    assert not (tmp_path / "gone").exists()


def test_a_unit_is_found_by_name() -> None:
    assert example().unit("auth").pid == 12
    with pytest.raises(KeyError):
        example().unit("nobody")
