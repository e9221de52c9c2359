"""What measurements of limits run against: one Valkey and one ratelimit service, as processes that can be hurt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.local.launch import ROOT, import_path
from tools.local.stores import plain_environment
from tools.local.valkey import ValkeyStore

PATIENCE_S = 30.0


class Meters:
    """The two processes."""

    def __init__(self, folder: Path, valkey_timeout_s: float) -> None:
        self._store = ValkeyStore(folder / "valkey", folder / "valkey.sock", durable=False)
        self._store.prepare()
        self._valkey: subprocess.Popen[bytes] | None = None
        self.address = f"unix:{folder}/ratelimit.sock"
        environment = dict(os.environ) | {
            "PYTHONPATH": import_path(),
            "CAPSTAN_RATELIMIT_VALKEY_URL": self._store.url,
            "CAPSTAN_RATELIMIT_VALKEY_TIMEOUT_S": str(valkey_timeout_s),
            "CAPSTAN_RATELIMIT_LISTEN": self.address,
            "CAPSTAN_RATELIMIT_OPS_LISTEN": f"unix:{folder}/ops.sock",
        }
        self.start_valkey()
        self._service = subprocess.Popen(
            [sys.executable, "-m", "services.ratelimit", "serve"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        pids = {"ratelimit": self._service.pid}
        return pids if self._valkey is None else pids | {"valkey": self._valkey.pid}

    def start_valkey(self) -> None:
        """Start it, empty, and wait until it answers."""
        self._valkey = subprocess.Popen(
            self._store.command(os.getpid()),
            env=plain_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + PATIENCE_S
        while not self._store.is_ready():
            if self._valkey.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("Valkey does not start")
            time.sleep(0.01)

    def signal_valkey(self, number: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT lets it go on, SIGKILL ends it."""
        if self._valkey is not None:
            os.killpg(self._valkey.pid, number)
            if number is signal.SIGKILL:
                self._valkey.wait(PATIENCE_S)
                self._valkey = None

    def end(self) -> None:
        """End both."""
        self._service.terminate()
        self._service.wait(PATIENCE_S)
        self.signal_valkey(signal.SIGKILL)


@contextmanager
def running_meters(valkey_timeout_s: float) -> Iterator[Meters]:
    """Run both while the block lasts; ratelimit waits so long for Valkey."""
    with tempfile.TemporaryDirectory(prefix="capstan-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        meters = Meters(folder, valkey_timeout_s)
        try:
            yield meters
        finally:
            meters.end()
