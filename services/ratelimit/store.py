"""Batches of items through the scripts: each batch is one write to Valkey and one read from it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from chassis.valkey import Reply, Valkey
from services.ratelimit.calls import heartbeat_call, outcome, renew_call, reserve_call, settle_call
from services.ratelimit.meters import Outcome, Renewal, Reservation, Settlement


def script_text(name: str) -> str:
    """Read a script with the arithmetic it stands on before it."""
    folder = resources.files("services.ratelimit") / "scripts"
    return "".join((folder / part).read_text(encoding="utf-8") for part in ("meter.lua", "kinds.lua", f"{name}.lua"))


class Store:
    """The meters."""

    def __init__(self, valkey: Valkey) -> None:
        self._reserve = valkey.script(script_text("reserve"))
        self._settle = valkey.script(script_text("settle"))
        self._renew = valkey.script(script_text("renew"))
        self._heartbeat = valkey.script(script_text("heartbeat"))

    async def reserve(self, items: Sequence[Reservation]) -> list[Outcome]:
        """Charge each item against all its meters or none; items must have passed `check`.

        Raises:
            CapstanError: UNAVAILABLE or OVERLOADED. Some items may have been charged; repeating them is safe.
        """
        replies = await self._reserve.many([reserve_call(item) for item in items])
        return [outcome(item, _numbers(reply)) for item, reply in zip(items, replies, strict=True)]

    async def settle(self, items: Sequence[Settlement]) -> list[bool]:
        """Replace reserved by used tokens; say of each whether there was an open reservation.

        Raises:
            CapstanError: UNAVAILABLE or OVERLOADED. Some items may have been settled; repeating them is safe.
        """
        replies = await self._settle.many([settle_call(item) for item in items])
        return [_number(reply) == 1 for reply in replies]

    async def renew(self, items: Sequence[Renewal]) -> list[bool]:
        """Renew leases and raise what was exceeded; say of each whether anything is known of it.

        Raises:
            CapstanError: UNAVAILABLE or OVERLOADED. Repeating is safe.
        """
        replies = await self._renew.many([renew_call(item) for item in items])
        return [_number(reply) == 1 for reply in replies]

    async def heartbeat(self, gateway_id: str) -> int:
        """Note that the gateway lives; answer how many do.

        Raises:
            CapstanError: UNAVAILABLE or OVERLOADED.
        """
        return _number(await self._heartbeat(*heartbeat_call(gateway_id)))


def _number(reply: Reply | Exception) -> int:
    if isinstance(reply, Exception):
        raise reply
    if not isinstance(reply, int):
        raise TypeError(f"a script answered {reply!r}")
    return reply


def _numbers(reply: Reply | Exception) -> list[int]:
    if isinstance(reply, Exception):
        raise reply
    if not isinstance(reply, list):
        raise TypeError(f"a script answered {reply!r}")
    return [_number(part) for part in reply]
