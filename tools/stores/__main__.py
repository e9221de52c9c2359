"""Become a store: `python -m tools.stores postgres|valkey`.

CAPSTAN_STORE_DATA            folder on a volume that this user may write
CAPSTAN_STORE_PASSWORD_FILE   file with the password of everybody who connects
CAPSTAN_STORE_PORT            where to listen, on all addresses (5432, 6379)
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tools.stores import postgres, valkey

STORES = {"postgres": postgres, "valkey": valkey}


def main(arguments: list[str]) -> None:
    """Prepare the data folder and execute the server in place of this process."""
    if len(arguments) != 1 or arguments[0] not in STORES:
        sys.exit(f"one of {', '.join(STORES)}")
    data = Path(os.environ["CAPSTAN_STORE_DATA"])
    password = Path(os.environ["CAPSTAN_STORE_PASSWORD_FILE"]).read_text(encoding="utf-8").strip()
    if not password:
        sys.exit("the password file is empty")
    store = STORES[arguments[0]]
    port = int(os.environ.get("CAPSTAN_STORE_PORT", str(store.PORT)))
    command = store.prepare(data, password, port)
    os.execv(command[0], command)  # noqa: S606  # becoming the server is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
