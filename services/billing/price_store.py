"""Published prices: read for every batch, so that a new version holds at once in every process, and never changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chassis.postgres import Connection
from services.billing import sql
from services.billing.price_file import check_history
from services.billing.pricing import Price, PriceBook


class PublishedPrices:
    """The price book in the database. Rows are only ever added, so their number tells whether a copy is up to date."""

    def __init__(self) -> None:
        self._book = PriceBook(())
        self._count = 0

    async def read(self, connection: Connection) -> PriceBook:
        """Answer all versions there are now."""
        count: int = await connection.fetchval(sql.PRICE_COUNT)
        if count != self._count:
            prices = await _prices(connection)
            self._book, self._count = PriceBook(prices), len(prices)
        return self._book


async def publish(connection: Connection, stated: Sequence[Price]) -> int:
    """Add the versions that are not published yet; answer how many prices that were.

    Raises:
        PriceFileError: a published version would change.
    """
    new = check_history(await _prices(connection), list(stated))
    await connection.executemany(
        sql.PUBLISH,
        [
            (
                p.version,
                p.model,
                p.effective_time,
                p.input_picousd,
                p.cached_input_picousd,
                p.output_picousd,
                p.batch_permille,
                [name for name, _ in p.tier_permilles],
                [permille for _, permille in p.tier_permilles],
            )
            for p in new
        ],
    )
    return len(new)


async def _prices(connection: Connection) -> list[Price]:
    return [price_of(tuple(row)) for row in await connection.fetch(sql.PRICES)]


def price_of(columns: tuple[Any, ...]) -> Price:
    """Read a row whose columns are a price's fields, but for the tiers, whose names and multipliers come last."""
    fields: list[Any] = [*columns[:-2], tuple(zip(*columns[-2:], strict=True))]
    return Price(*fields)
