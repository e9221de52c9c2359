"""What a person sees while something takes long: which step, what it waits for, how long it took.

On a terminal the running step is one line that is painted over; into a file or a pipe only finished steps are written,
and a sign of life every 15 seconds.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

REPAINT_S = 0.12
SIGN_OF_LIFE_S = 15.0
NAME_WIDTH = 30
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PLAIN_FRAMES = "|/-\\"


class Progress:
    """Writes steps to `stream`; one step at a time."""

    def __init__(
        self, stream: TextIO, clock: Callable[[], float] = time.monotonic, *, live: bool | None = None
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._live = live if live is not None else stream.isatty() and os.environ.get("TERM", "") != "dumb"
        encoding = (stream.encoding or "ascii").lower()
        self._marks = ("✓", "✗", FRAMES) if encoding.startswith("utf") else ("ok", "!!", PLAIN_FRAMES)
        self._started_at = clock()
        self._turn = threading.Lock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since this display was made."""
        return self._clock() - self._started_at

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show `name` as running for the length of the block, then as done or failed with the time it took."""
        step = Step(name, self._clock())
        ended = threading.Event()
        painter = threading.Thread(target=self._paint, args=(step, ended), daemon=True)
        painter.start()
        mark = self._marks[1]
        try:
            yield step
            mark = self._marks[0]
        finally:
            ended.set()
            painter.join()
            self._write_finished(step_line(mark, step.name, step.note, self._clock() - step.started_at))

    def interject(self, name: str, note: str, took_s: float) -> None:
        """Write a finished step that ran elsewhere, above the one that runs."""
        self._write_finished(step_line(self._marks[0], name, note, took_s))

    def line(self, text: str = "") -> None:
        """Write a line of text under the steps."""
        print(text, file=self._stream, flush=True)

    def _paint(self, step: Step, ended: threading.Event) -> None:
        frame = 0
        while not ended.wait(REPAINT_S if self._live else SIGN_OF_LIFE_S):
            took_s = self._clock() - step.started_at
            mark = self._marks[2][frame % len(self._marks[2])] if self._live else ".."
            text = step_line(mark, step.name, step.note, took_s)
            with self._turn:
                self._stream.write(f"\r\x1b[2K{fitted(text, _columns())}" if self._live else f"{text}\n")
                self._stream.flush()
            frame += 1

    def _write_finished(self, text: str) -> None:
        with self._turn:
            self._stream.write(f"\r\x1b[2K{text}\n" if self._live else f"{text}\n")
            self._stream.flush()


class Step:
    """A step that runs; `say` what it waits for."""

    def __init__(self, name: str, started_at: float) -> None:
        self.name = name
        self.started_at = started_at
        self.note = ""

    def say(self, note: str) -> None:
        """Replace what stands behind the step's name."""
        self.note = note


def step_line(mark: str, name: str, note: str, took_s: float) -> str:
    """One step as a line: mark, name, seconds, note."""
    return f" {mark} {name:<{NAME_WIDTH}} {took_s:6.1f} s  {note}".rstrip()


def fitted(text: str, columns: int) -> str:
    """Cut `text` so that it stays on one line of a terminal with `columns` columns."""
    return text if len(text) < columns else text[: max(columns - 2, 1)] + "…"


def _columns() -> int:
    return shutil.get_terminal_size().columns


def for_terminal() -> Progress:
    """A display on standard error, so that standard output stays clean for what a program reads."""
    return Progress(sys.stderr)
