"""Whether a replica takes requests: it says so itself, and the router has heard it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tools.local.unit import Answer, HttpProbe, fetch

ROUTER_PAGE = "/replicas"


@dataclass(frozen=True)
class ReplicaProbe:
    """Asks the replica `name` on its operations socket and then the router on its own.

    A replica that is ready and not yet known to the router would refuse the first requests of a suite that calls
    itself ready.
    """

    name: str
    own: HttpProbe
    router: Path

    def __call__(self) -> Answer:
        """Ask once."""
        answer = self.own()
        if not answer.ready or self._known():
            return answer
        return Answer(ready=False, waiting_for="the router to find it", version=answer.version)

    def _known(self) -> bool:
        try:
            status, body = fetch(self.router, ROUTER_PAGE)
            said = json.loads(body)
        except (OSError, ValueError):
            return False
        return status == 200 and isinstance(said, dict) and said.get(self.name) is True
