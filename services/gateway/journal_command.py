"""`python -m services.gateway journal`: how the journal of the gateway that runs here stands, as a line of JSON.

For `python -m services.billing verify --journals`. The file itself is the running gateway's alone, so it is asked, at
its operations port.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys

from prometheus_client.parser import text_string_to_metric_families

from chassis.sockets import unix_path
from services.gateway.settings import Settings

TIMEOUT_S = 5.0
METRICS = {
    "capstan_gateway_journal_open": "open_count",
    "capstan_gateway_journal_oldest_open_seconds": "oldest_open_s",
    "capstan_gateway_journal_oldest_unshipped_seconds": "oldest_unshipped_s",
    "capstan_gateway_journal_writable": "writable",
}


def main(settings: Settings) -> int:
    """Print the line; exit status 1 when no gateway runs here."""
    try:
        text = _metrics(settings.ops_listen)
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"No gateway answers at {settings.ops_listen}: {error or type(error).__name__}\n")
        return 1
    told = {
        METRICS[sample.name]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in METRICS
    }
    sys.stdout.write(json.dumps({"gateway": socket.gethostname()} | told) + "\n")
    return 0


def _metrics(address: str) -> str:
    connection: http.client.HTTPConnection
    if address.startswith("unix:"):
        connection = http.client.HTTPConnection("localhost", timeout=TIMEOUT_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(TIMEOUT_S)
        connection.sock.connect(str(unix_path(address)))
    else:
        host, _, port = address.rpartition(":")
        reached = "127.0.0.1" if host in ("0.0.0.0", "", "[::]") else host.strip("[]")  # noqa: S104 - read, not bound
        connection = http.client.HTTPConnection(reached, int(port), timeout=TIMEOUT_S)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
