"""What the routers of the admin API work with: built once by the composition root."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, cast

from chassis.clock import Clock
from services.gateway.peers.admin.authority import Authority
from services.gateway.peers.admin.bookkeeper import Bookkeeper
from services.gateway.peers.router import Placer
from services.gateway.reception import Reception
from services.gateway.settings import Settings


@dataclass(frozen=True)
class Office:
    """The admin API's parts."""

    settings: Settings
    clock: Clock
    log: logging.Logger
    reception: Reception
    authority: Authority
    bookkeeper: Bookkeeper
    placer: Placer


def unstaffed() -> Office:
    """Answer an office with nobody in it: enough to describe the application, and not to run it."""
    nobody = cast("Any", None)
    return Office(
        settings=nobody,
        clock=nobody,
        log=nobody,
        reception=nobody,
        authority=nobody,
        bookkeeper=nobody,
        placer=nobody,
    )
