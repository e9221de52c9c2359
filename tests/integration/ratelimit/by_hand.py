"""The scripts with their clock turned by hand, and a service that runs them."""

from __future__ import annotations

from chassis.valkey import Valkey
from services.ratelimit.store import Store, script_text


def by_hand(name: str) -> str:
    """The script with its clock read from a key, and meters that outlive the real time they would need to drain."""
    text = script_text(name)
    for real, played, count in (
        ("redis.call('TIME')", "redis.call('LRANGE', 'clock', 0, 1)", 1),
        ("'PX', ttl_ms", "'PX', '600000'", 2),
    ):
        assert text.count(real) == count
        text = text.replace(real, played)
    return text


async def set_clock(valkey: Valkey, now_ms: int) -> None:
    """Turn the clock of the scripts."""
    await valkey.command("DEL", "clock")
    await valkey.command("RPUSH", "clock", now_ms // 1000, now_ms % 1000 * 1000)


class PlayedStore(Store):
    """The store of the service, with scripts whose time is set."""

    def __init__(self, valkey: Valkey) -> None:
        super().__init__(valkey)
        self._reserve = valkey.script(by_hand("reserve"))
        self._settle = valkey.script(by_hand("settle"))
        self._renew = valkey.script(by_hand("renew"))
        self._heartbeat = valkey.script(by_hand("heartbeat"))
