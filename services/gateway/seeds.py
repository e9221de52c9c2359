"""What billing has posted of budgets of which ratelimit knows nothing: each asked for once, however many wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

BudgetId = tuple[str, str]
"""Whose budget it is (an organisation's or project's id), and its period."""

Seed = Callable[[str, str], Awaitable[int]]
"""Answers the nano-dollars posted to a budget (subject id, period id) so far.

Raises `CapstanError` when that cannot be told now.
"""


class Seeds:
    """Single flight by budget; nothing is remembered, because ratelimit remembers."""

    def __init__(self, seed: Seed) -> None:
        self._seed = seed
        self._asking: dict[BudgetId, asyncio.Task[int]] = {}

    async def of(self, budgets: Iterable[BudgetId], before: Callable[[], Awaitable[None]]) -> dict[BudgetId, int]:
        """Ask for all of them at once, each after `before` has run. Raises what either raised for any of them."""
        asked = {budget: self._task(budget, before) for budget in budgets}
        # Shielded: a client that leaves must not take the answer from the others.
        answers = await asyncio.gather(*(asyncio.shield(task) for task in asked.values()))
        return dict(zip(asked, answers, strict=True))

    def _task(self, budget: BudgetId, before: Callable[[], Awaitable[None]]) -> asyncio.Task[int]:
        task = self._asking.get(budget)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(budget, before), name="budget seed")
            self._asking[budget] = task
            task.add_done_callback(lambda done: self._asked(budget, done))
        return task

    async def _ask(self, budget: BudgetId, before: Callable[[], Awaitable[None]]) -> int:
        await before()
        return await self._seed(*budget)

    def _asked(self, budget: BudgetId, task: asyncio.Task[int]) -> None:
        del self._asking[budget]
        if not task.cancelled():
            task.exception()  # everybody who asked may have left
