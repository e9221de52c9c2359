"""What organisations are served on trust while their money cannot be checked, and how much that may be.

Billing says of each what a gateway may serve so; nothing, where it pays in advance or a hard limit binds it. What it
said last holds while it is away, also for a gateway that starts meanwhile: it is kept in a file beside the journal.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from pathlib import Path

from chassis.clock import Clock
from chassis.errors import CapstanError, Reason

DEFAULT_EXPOSURE_NANOUSD = 5 * 10**9
"""Of an organisation of which billing never said anything."""

CAPACITY = 10_000
"""Organisations and projects that are remembered."""

WRITE_INTERVAL_S = 5.0


class Trust:
    """How much may be served on trust, by the ids of organisations and projects."""

    def __init__(self, path: Path | None = None) -> None:
        """`path`: where it is kept. A file that cannot be read is as good as none."""
        self._path = path
        self._told: OrderedDict[str, int] = OrderedDict()
        self._changed = False
        if path is not None:
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                self._told.update({str(name): int(amount) for name, amount in found.items()})
            except (OSError, ValueError, AttributeError, TypeError):
                self._told.clear()

    def told(self, organization_id: str, project_id: str, max_exposure_nanousd: int, *, bound: bool) -> None:
        """Billing says how much an organisation may use; `bound`: it is checked or refused, for this project."""
        self._set(organization_id, max_exposure_nanousd, DEFAULT_EXPOSURE_NANOUSD)
        self._set(project_id, 0 if bound else None, None)

    def of(self, organization_id: str, project_id: str) -> int:
        """Answer the nano-dollars that this gateway may serve the project on trust."""
        organization = self._told.get(organization_id, DEFAULT_EXPOSURE_NANOUSD)
        return min(organization, self._told.get(project_id, organization))

    def _set(self, name: str, amount: int | None, default: int | None) -> None:
        if amount == self._told.get(name, default):
            return
        self._changed = True
        self._told.pop(name, None)
        if amount != default and amount is not None:
            self._told[name] = amount
            if len(self._told) > CAPACITY:
                self._told.popitem(last=False)

    async def keep(self, clock: Clock, log: logging.Logger) -> None:
        """Write down what changes. Never returns."""
        while True:
            await clock.sleep(WRITE_INTERVAL_S)
            if self._changed and self._path is not None:
                self._changed = False
                try:
                    await asyncio.to_thread(_write, self._path, json.dumps(self._told))
                except OSError as error:
                    self._changed = True
                    log.warning("what may be served on trust cannot be kept: %s", error)


def _write(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


class Exposure:
    """Counts what was served on trust since money could last be checked. Bounded; the oldest is forgotten first."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._served: OrderedDict[str, int] = OrderedDict()

    def add(self, organization_id: str, project_id: str, amount_nanousd: int) -> None:
        """Count what a request may cost. Raises BUDGET_UNKNOWN when that is more than its organisation is trusted."""
        served = self._served.get(organization_id, 0) + amount_nanousd
        if served > self._trust.of(organization_id, project_id):
            raise CapstanError(
                Reason.BUDGET_UNKNOWN,
                "it cannot be told what was spent, and no more is served on trust",
                budgets=organization_id,
            )
        self._served[organization_id] = served
        if len(self._served) > CAPACITY:
            self._served.popitem(last=False)

    def correct(self, organization_id: str, by_nanousd: int) -> None:
        """A request that was counted cost so much more, or less."""
        if organization_id in self._served:
            self._served[organization_id] = max(0, self._served[organization_id] + by_nanousd)

    def over(self, organization_id: str | None = None) -> None:
        """The money of an organisation can be checked again; None: that of all."""
        if organization_id is None:
            self._served.clear()
        else:
            self._served.pop(organization_id, None)
