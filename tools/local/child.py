"""What runs between fork and exec of every child, as a program of its own.

A child must die with its parent and PostgreSQL must not be root. Both have to be arranged inside the new process,
and doing that in `preexec_fn` is unsafe as soon as the parent has threads. So the parent executes this file (standard
library only, about 15 ms), which prepares the process and becomes the real program:

    python -I -S child.py [--unshare-user | --account NAME] [--death-signal N --parent PID] -- PROGRAM ARGUMENT...
"""

import argparse
import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1
"""`prctl` option: the signal this process gets when the thread that made it ends (Linux, prctl(2))."""
CLONE_NEWUSER = 0x10000000
"""`unshare` flag: a new user namespace (Linux, unshare(2))."""
CANNOT_PREPARE = 125
"""Exit status when the process could not be prepared, as `env` and `timeout` use it."""


def leave_root_for_a_user_namespace() -> None:
    """Enter a fresh user namespace without any mapping: `geteuid()` is then the overflow id, 65534.

    The process still owns root's files, because the kernel compares the ids behind the mapping.

    Raises:
        OSError: the kernel or a seccomp filter forbids it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare(CLONE_NEWUSER): {os.strerror(number)}")


def become(account: str) -> None:
    """Give up root for `account` with its groups; cannot be undone.

    Raises:
        KeyError: there is no such account.
        PermissionError: the caller is not root.
    """
    entry = pwd.getpwnam(account)
    os.initgroups(account, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def die_with(parent: int, death_signal: int) -> None:
    """Ask the kernel for `death_signal` when `parent` ends; outside Linux the sentinel alone has to do.

    Must follow every change of credentials, because those clear the request.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_PDEATHSIG): {os.strerror(number)}")
    if os.getppid() != parent:  # the parent ended before we asked
        os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Prepare this process as the arguments say and become the program after `--`."""
    parser = argparse.ArgumentParser(description="Prepare a process, then execute a program in it.")
    footing = parser.add_mutually_exclusive_group()
    footing.add_argument("--unshare-user", action="store_true")
    footing.add_argument("--account")
    parser.add_argument("--death-signal", type=int)
    parser.add_argument("--parent", type=int, default=0)
    parser.add_argument("program", nargs="+")
    options = parser.parse_args(arguments)
    try:
        if options.unshare_user:
            leave_root_for_a_user_namespace()
        if options.account:
            become(options.account)
        if options.death_signal:
            die_with(options.parent, options.death_signal)
        os.execvp(options.program[0], options.program)  # noqa: S606  # becoming the program is the purpose
    except (OSError, KeyError) as error:
        print(f"cannot start {options.program[0]}: {error}", file=sys.stderr)
        sys.exit(CANNOT_PREPARE)


if __name__ == "__main__":
    main(sys.argv[1:])
