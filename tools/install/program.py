"""The steps of an installation, in order, each shown with the time it takes."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tools.install import complaint, plan
from tools.local.problem import Problem
from tools.local.progress import Progress, Step, for_terminal

ROOT = Path(__file__).resolve().parents[2]
QUIET_PIP = ("--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--no-color")
SELDOM_IMPORTED = r"/(tests?|testing|transformers/models|model_executor/models|networkx|pip|setuptools)/"
"""Folders whose byte code is left to the first import, because few of their files are ever imported."""
INVENTORY = (
    "import importlib.metadata as m, json;print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
)


class Installation:
    """One `.venv` and the log of what was done to it."""

    def __init__(self, root: Path, machine: plan.Machine, progress: Progress, torch_index: str) -> None:
        self._root = root
        self._venv = root / ".venv"
        self._log = root / ".venv.log"
        self._machine = machine
        self._progress = progress
        self._torch_index = torch_index

    def bring_to(self, profile: str) -> None:
        """Make `.venv` contain `profile`; does nothing in well under a second if it does.

        Raises:
            Problem: one sentence about what went wrong.
        """
        with taking_turns(self._root / ".venv.lock", self._progress):
            wanted = plan.fingerprint(self._root, profile, self._machine)
            stamp = plan.read_stamp(self._venv)
            if stamp.get(profile) == wanted:
                return
            sentence = plan.unsupported(self._machine)
            if sentence:
                raise Problem(sentence)
            if not stamp:
                refuse_without_space(self._root)
            with self._log.open("w") as log:
                self._run_steps(profile, log)
            stamp |= {
                name: plan.fingerprint(self._root, name, self._machine) for name in plan.satisfied_profiles(profile)
            }
            plan.write_stamp(self._venv, stamp)

    def _run_steps(self, profile: str, log: TextIO) -> None:
        with self._progress.step("Python environment") as step:
            step.say(f"Python {self._machine.python} in .venv")
            self._make_environment()
        with self._progress.step("PyTorch, CPU build") as step:
            index = ("--extra-index-url", self._torch_index) if self._torch_index else ()
            self._pip(log, step, "--no-deps", *index, plan.torch_requirement())
            step.say(plan.torch_requirement())
        lock = plan.LOCKS[profile]
        with self._progress.step("Packages") as step:
            self._pip(log, step, "--no-deps", "--require-hashes", "-r", lock)
            step.say(f"as {lock} says, each checked by its hash")
        with self._progress.step("Capstan itself") as step:
            self._pip(log, step, "--no-deps", "--no-build-isolation", "--editable", ".")
            step.say("from this checkout")
        with self._progress.step("Byte code") as step:
            step.say("so that the first start is as quick as the second")
            self._compile(log)
        refuse_cuda(self._installed())

    def _make_environment(self) -> None:
        if read_python_version(self._venv) == self._machine.python:
            return
        shutil.rmtree(self._venv, ignore_errors=True)
        try:
            venv.EnvBuilder(with_pip=True, symlinks=True).create(self._venv)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Problem(complaint.sentence_for(f"{error}\nensurepip is not available")) from error

    def _pip(self, log: TextIO, step: Step, *arguments: str) -> None:
        line = [str(self._venv / "bin" / "python"), "-m", "pip", "install", *QUIET_PIP, "--no-compile", *arguments]
        self._run(line, log, step)

    def _compile(self, log: TextIO) -> None:
        workers = str(os.cpu_count() or 1)
        line = [
            str(self._venv / "bin" / "python"),
            "-m",
            "compileall",
            "-q",
            "-j",
            workers,
            "-x",
            SELDOM_IMPORTED,
            str(self._venv / "lib"),
        ]
        subprocess.run(line, stdout=log, stderr=log, check=False)  # packages carry templates that are not Python

    def _run(self, line: Sequence[str], log: TextIO, step: Step) -> None:
        output: list[str] = []
        with subprocess.Popen(
            line, cwd=self._root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            for text in process.stdout:
                log.write(text)
                output.append(text)
                step.say(complaint.happening(text) or step.note)
        if process.returncode:
            raise Problem(f"{complaint.sentence_for(''.join(output))} (All of pip's output: {self._log})")

    def _installed(self) -> dict[str, str]:
        line = [str(self._venv / "bin" / "python"), "-I", "-c", INVENTORY]
        found = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
        return {str(name): str(version) for name, version in found.items()}


def refuse_cuda(installed: dict[str, str]) -> None:
    """Raise `Problem` if a CUDA package got in, by whatever way."""
    strangers = sorted(name for name in installed if name.startswith(("nvidia-", "cuda-")))
    torch = installed.get("torch", "")
    if strangers or not torch.endswith("+cpu"):
        named = ", ".join(strangers) or f"torch {torch or 'is missing'}"
        raise Problem(f"A CUDA build got into .venv ({named}): remove .venv and check pip's configured sources.")


def refuse_without_space(folder: Path) -> None:
    """Raise `Problem` if an installation will not fit."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < plan.NEEDED_BYTES:
        raise Problem(
            f"Only {free_bytes / (1 << 30):.1f} GB are free where {folder} is and the packages need "
            f"{plan.NEEDED_BYTES >> 30} GB: free some, or put the checkout on another disk."
        )


def read_python_version(environment: Path) -> str:
    """The Python a virtual environment was made with; "" if there is none or it is broken."""
    try:
        text = (environment / "pyvenv.cfg").read_text()
    except OSError:
        return ""
    if not (environment / "bin" / "pip").exists() or not (environment / "bin" / "python").exists():
        return ""
    entries = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    return entries.get("version", "")


@contextmanager
def taking_turns(lock: Path, progress: Progress) -> Iterator[None]:
    """Hold the installation's lock for the length of the block; a second one waits and says so."""
    try:
        stream = lock.open("a+")
    except OSError as error:
        raise Problem(f"{lock.parent} cannot be written by this user ({error.strerror}).") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step("Another installation") as step:
                step.say("is running in this checkout; waiting for it to end")
                fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def main(arguments: Sequence[str]) -> int:
    """Install the profile the arguments name; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m tools.install", description="Install Capstan into .venv.")
    parser.add_argument("profile", choices=sorted(plan.LOCKS))
    options = parser.parse_args(arguments)
    machine = plan.Machine(sys.platform, platform.machine(), platform.python_version())
    progress = for_terminal()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        Installation(ROOT, machine, progress, os.environ.get("TORCH_INDEX_URL", "")).bring_to(options.profile)
    except Problem as problem:
        progress.line(f"\n{problem}")
        return 1
    except KeyboardInterrupt:
        progress.line("\nStopped. Run it again to go on where it was.")
        return 130
    return 0
