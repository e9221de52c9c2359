"""The last one out: ends what is left when the supervisor is gone, however it went.

A process of its own that reads from a pipe which process groups live. End of file means that the supervisor ended; in
good order nothing is left then. After SIGKILL the kernel's death signal has told the children on Linux, but not
their children, and a child may be stuck: so every group gets its stop signal and, after a grace, SIGKILL.

It holds the lock file for as long, so that the next supervisor can wait until the field is clear.

    python -I -S sentinel.py LOCK_FILE       then on standard input:   + GROUP SIGNAL   |   - GROUP
"""

import fcntl
import os
import signal
import sys
import time
from pathlib import Path

GRACE_S = 3.0
POLL_S = 0.05


def alive(group: int) -> bool:
    """True if process group `group` still has a member."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def send(group: int, number: int) -> None:
    """Signal `group`; it may be gone already."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def end_all(groups: "dict[int, int]", grace_s: float) -> None:
    """End the groups in order, then by force."""
    for group, number in groups.items():
        send(group, number)
    deadline = time.monotonic() + grace_s
    while any(alive(group) for group in groups) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    for group in groups:
        if alive(group):
            send(group, signal.SIGKILL)


def main(lock: Path) -> None:
    """Take the lock, say so, follow the pipe, and clear the field at its end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with lock.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        print("watching", flush=True)
        groups: dict[int, int] = {}
        for line in sys.stdin:
            word, group, *rest = line.split()
            if word == "+":
                groups[int(group)] = int(rest[0])
            else:
                groups.pop(int(group), None)
        end_all(groups, GRACE_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
