"""`helm test`: what the network policies do not allow cannot be reached. The pod of this test may look names up."""

import os
import socket
import sys

PATIENCE_S = 3.0


def main() -> int:
    """Try every address; each that answers is a failure."""
    reached = []
    for address in os.environ["ADDRESSES"].split():
        host, _, port = address.partition(":")
        try:
            socket.create_connection((host, int(port)), timeout=PATIENCE_S).close()
        except OSError as error:
            print(f"{address}: refused ({error})", flush=True)
        else:
            print(f"{address}: reached; do the cluster's network policies work?", flush=True)
            reached.append(address)
    return len(reached)


if __name__ == "__main__":
    sys.exit(main())
