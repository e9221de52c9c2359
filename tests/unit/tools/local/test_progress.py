"""What a person sees while something takes long."""

import io

import pytest

from tools.local.progress import Progress, fitted, step_line


class Terminal(io.StringIO):
    """A stream that knows its encoding."""

    encoding = "utf-8"  # type: ignore[assignment]  # read-only in the stubs, ours to set


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_finished_step_shows_its_time_and_its_last_word() -> None:
    stream, clock = Terminal(), Clock()
    with Progress(stream, clock, live=False).step("Packages") as step:
        clock.now += 12.3
        step.say("136 installed")
    assert stream.getvalue() == " ✓ Packages                         12.3 s  136 installed\n"


def test_a_failed_step_is_marked_and_the_failure_goes_on() -> None:
    stream = Terminal()
    with pytest.raises(ValueError, match="no"), Progress(stream, Clock(), live=False).step("Packages"):
        raise ValueError("no")
    assert stream.getvalue().startswith(" ✗ Packages")


def test_a_part_that_got_ready_stands_above_the_step_that_runs() -> None:
    stream, clock = Terminal(), Clock()
    progress = Progress(stream, clock, live=False)
    with progress.step("Starting"):
        progress.interject("auth", "unix:/run/auth.sock", 1.25)
    lines = stream.getvalue().splitlines()
    assert lines[0] == " ✓ auth                              1.2 s  unix:/run/auth.sock"
    assert lines[1].startswith(" ✓ Starting")


def test_without_unicode_the_marks_are_letters() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with Progress(stream, Clock(), live=False).step("Packages"):
        pass
    stream.seek(0)
    assert stream.read().startswith(" ok Packages")


def test_on_a_terminal_the_line_is_painted_over() -> None:
    stream = Terminal()
    with Progress(stream, Clock(), live=True).step("Packages"):
        pass
    assert stream.getvalue().endswith("\r\x1b[2K ✓ Packages                          0.0 s\n")


def test_a_long_line_is_cut_to_the_terminal() -> None:
    assert fitted("x" * 100, 20) == "x" * 18 + "…"
    assert fitted("short", 20) == "short"


def test_elapsed_is_since_the_display_was_made() -> None:
    clock = Clock()
    progress = Progress(Terminal(), clock, live=False)
    clock.now += 3
    assert progress.elapsed_s == 3


def test_a_note_of_nothing_leaves_no_blanks() -> None:
    assert step_line("✓", "a", "", 1.0) == " ✓ a                                 1.0 s"
