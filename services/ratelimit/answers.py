"""Who does the work of a keyed request, and what came of it: kept in Valkey, where all gateways see it.

A claim holds for a lease that its gateway renews, so that the work of a gateway that died can be done again. What came
of the work is known for a day, within a bound per organisation: beyond it the oldest answers go first.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

from chassis.valkey import Valkey

KNOWN_MS = 86_400_000
LARGEST_ANSWER_BYTES = 256 * 2**10
"""More would hold up the meters, which use the same connection."""
ORGANIZATION_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Place:
    """A key of a project's."""

    organization_id: str
    project_id: str
    key: str

    @property
    def tag(self) -> str:
        """What all keys of an organisation in Valkey begin with."""
        return f"{{answers:{self.organization_id}}}"

    @property
    def record(self) -> str:
        """The key in Valkey. The client's own is digested: it can hold anything."""
        digest = hashlib.sha256(f"{self.project_id}\0{self.key}".encode()).hexdigest()
        return f"{self.tag}:{digest}"


class Answers:
    """All keys."""

    def __init__(self, valkey: Valkey, *, organization_bytes: int = ORGANIZATION_BYTES) -> None:
        self._claim = valkey.script(_script("claim"))
        self._conclude = valkey.script(_script("conclude"))
        self._organization_bytes = organization_bytes

    async def claim(self, place: Place, fingerprint: bytes, claimant: str, lease_ms: int) -> tuple[int, bytes]:
        """Ask for the work; answer the state's number, as in answers.proto, and the answer if one is kept.

        Raises `CapstanError`: UNAVAILABLE or OVERLOADED.
        """
        reply = await self._claim([place.record], [fingerprint, claimant, lease_ms])
        match reply:
            case [int(state)]:
                return state, b""
            case [int(state), bytes(answer)]:
                return state, answer
        raise TypeError(f"a script answered {reply!r}")

    async def conclude(self, place: Place, claimant: str, state: int, answer: bytes) -> bool:
        """Say what came of the work; answer whether the claim was the claimant's.

        Raises `CapstanError`: UNAVAILABLE or OVERLOADED.
        """
        keys = [place.record, f"{place.tag}:index", f"{place.tag}:bytes"]
        return await self._conclude(keys, [claimant, state, KNOWN_MS, self._organization_bytes, answer]) == 1


def _script(name: str) -> str:
    return (resources.files("services.ratelimit") / "scripts" / f"{name}.lua").read_text(encoding="utf-8")
