"""The `capstan` command as a person uses it, on the whole suite with the real engine."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.stack import Stack, free_port
from tools.local import launch, lock, state
from tools.local.folder import DataFolder
from tools.local.launch import ROOT, import_path
from tools.local.state import Phase

TIMEOUT_S = 300


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": import_path(), "COLUMNS": "160"}


def command(data: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "tools.cli", words[0], "--data-dir", str(data), *words[1:]]


def capstan(data: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(data, *words),
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )


def test_status_shows_every_service_ready(stack: Stack) -> None:
    done = capstan(stack.folder.root, "status", "--json")
    assert done.returncode == 0, done
    told = json.loads(done.stdout)
    assert told["base_url"] == stack.base_url
    assert {service["state"] for service in told["services"]} == {"ready"}
    assert {"postgres", "valkey", "gateway", "auth"} <= {service["service"] for service in told["services"]}
    assert all(service["memory_bytes"] > 0 and service["version"] for service in told["services"])


def test_status_for_people_is_a_table(stack: Stack) -> None:
    done = capstan(stack.folder.root, "status")
    assert done.returncode == 0
    assert re.search(r"^gateway +ready +http://127\.0\.0\.1:\d+/v1 ", done.stdout, re.MULTILINE)


def test_a_second_up_joins_and_prints_what_works_as_printed(stack: Stack) -> None:
    done = capstan(stack.folder.root, "up", "--port", str(stack.plan.port))
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    curl = next(line for line in lines if line.startswith("curl "))
    answered = subprocess.run(["sh", "-c", f"{curl} --silent"], capture_output=True, text=True, check=True)
    assert "Paris" in json.loads(answered.stdout)["choices"][0]["message"]["content"]
    first = lines.index("from openai import OpenAI")
    snippet = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(lines[first : first + 5])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Paris" in snippet.stdout


def test_a_second_up_with_other_options_is_refused(stack: Stack) -> None:
    done = capstan(stack.folder.root, "up", "--port", str(free_port()))
    assert done.returncode == 1
    assert f"already runs in this data folder with port {stack.plan.port}" in done.stderr


def test_chat_answers_one_question(stack: Stack) -> None:
    done = capstan(stack.folder.root, "chat", "What is the capital of Italy?")
    assert done.returncode == 0, done
    assert "Rome" in done.stdout


def test_the_key_is_given_as_exports_a_shell_understands(stack: Stack) -> None:
    done = capstan(stack.folder.root, "key")
    exports = dict(word.split("=", 1) for word in shlex.split(done.stdout) if "=" in word)
    assert exports == {"OPENAI_BASE_URL": stack.base_url, "OPENAI_API_KEY": stack.api_key}


def test_logs_are_shown_and_hold_no_key(stack: Stack) -> None:
    done = capstan(stack.folder.root, "logs", "--lines", "100000")
    assert "gateway" in done.stdout
    assert stack.api_key not in done.stdout


def test_doctor_finds_nothing_wrong_with_what_runs(stack: Stack) -> None:
    done = capstan(stack.folder.root, "doctor", "--port", str(stack.plan.port))
    assert "in use by Capstan itself" in done.stdout
    assert "supervisor   running" in done.stdout


def test_a_killed_service_is_back_and_its_neighbours_never_went(stack: Stack) -> None:
    neighbour = stack.unit("billing").pid
    stack.kill("ratelimit")
    assert stack.unit("billing").pid == neighbour


def test_a_damaged_state_file_mends_itself(stack: Stack) -> None:
    stack.folder.state.write_text('{"format": 1, "pid"')
    done = capstan(stack.folder.root, "status", "--json")
    assert "Traceback" not in done.stderr
    deadline = time.monotonic() + TIMEOUT_S
    while state.read(stack.folder.state) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert capstan(stack.folder.root, "status").returncode == 0


def test_a_port_in_use_is_one_sentence(store_folder: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        done = capstan(store_folder / "busy", "up", "--port", str(port))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"Port {port} is in use by another program")
    assert "Traceback" not in done.stderr


def test_a_data_folder_that_cannot_be_is_one_sentence(store_folder: Path) -> None:
    (store_folder / "a-file").write_text("")
    done = capstan(store_folder / "a-file" / "data", "up")
    assert done.returncode == 1
    assert "The data folder" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_an_address_for_others_has_to_be_meant(store_folder: Path) -> None:
    done = capstan(store_folder / "open", "up", "--host", "0.0.0.0")
    assert done.returncode == 1
    assert "--expose" in done.stderr


def test_nothing_running_is_said_and_has_its_own_status(store_folder: Path) -> None:
    done = capstan(store_folder / "nothing", "status")
    assert done.returncode == 3
    assert "Nothing runs" in done.stdout
    assert capstan(store_folder / "nothing", "down").returncode == 0
    assert capstan(store_folder / "nothing", "chat", "hello").returncode == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["told to stop", "killed"])
def test_an_up_that_is_broken_off_leaves_nothing_behind(store_folder: Path, number: signal.Signals) -> None:
    """SIGTERM does what Ctrl-C does; Ctrl-C itself may be ignored where the tests run in the background of a shell."""
    folder = DataFolder(store_folder / f"broken-off-{number}")
    with subprocess.Popen(
        command(folder.root, "up", "--port", str(free_port())),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + TIMEOUT_S
        while (told := state.read(folder.state)) is None or told.unit("postgres").phase is not Phase.READY:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        pids = [unit.pid for unit in told.units if unit.pid]
        process.send_signal(number)
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == (130 if number is signal.SIGTERM else -9)
    while launch.running(folder) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    lock.wait_until_free(folder.sentinel_lock, TIMEOUT_S)
    assert pids
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
