"""The price book as a file that people write, and a database that never forgets what was published.

    {"versions": [{
        "version": 1,
        "effective_time": "2026-01-01T00:00:00Z",
        "prices": {"*": {"input_picousd": 150000, "cached_input_picousd": 75000, "output_picousd": 600000,
                         "batch_permille": 500, "tier_permilles": {"flex": 500, "priority": 2000}}}
    }]}

A version is a whole book: it holds from its effective time until the next one's. 1 USD per million tokens is
1,000,000 pico-dollars per token. The multipliers are optional and 1,000 (the same price) unless they are stated; a
request of a batch in a tier costs both. `ft:base:…` costs what `base` does, unless it has a price of its own.
"""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictInt, ValidationError

from services.billing.pricing import PERMILLE, Price

Picousd = Annotated[StrictInt, Field(ge=0, le=10**15)]
Permille = Annotated[StrictInt, Field(ge=0, le=10**6)]


class PriceFileError(ValueError):
    """The file is not a price book, or changes what was published; the text says where."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Rates(_Strict):
    input_picousd: Picousd
    cached_input_picousd: Picousd
    output_picousd: Picousd
    batch_permille: Permille = PERMILLE
    tier_permilles: dict[Annotated[str, Field(min_length=1, max_length=64)], Permille] = Field(default_factory=dict)


class _Version(_Strict):
    version: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
    effective_time: AwareDatetime
    prices: Annotated[dict[Annotated[str, Field(min_length=1, max_length=256)], _Rates], Field(min_length=1)]


class _Book(_Strict):
    versions: Annotated[list[_Version], Field(min_length=1)]


def parse(text: str) -> list[Price]:
    """Read the file's text. Raises `PriceFileError`."""
    try:
        book = _Book.model_validate(json.loads(text))
    except (ValidationError, ValueError) as error:
        raise PriceFileError(str(error)) from None
    numbers = [version.version for version in book.versions]
    if numbers != sorted(set(numbers)):
        raise PriceFileError("versions must be numbered upwards")
    return [
        Price(
            version.version,
            model,
            version.effective_time,
            rates.input_picousd,
            rates.cached_input_picousd,
            rates.output_picousd,
            rates.batch_permille,
            tuple(sorted(rates.tier_permilles.items())),
        )
        for version in book.versions
        for model, rates in version.prices.items()
    ]


def check_history(published: list[Price], file: list[Price]) -> list[Price]:
    """Answer what the file adds to what was published. Raises `PriceFileError` when it changes a published version.

    A version that the file leaves out stays published: events refer to it.
    """
    known: dict[int, set[Price]] = {}
    for price in published:
        known.setdefault(price.version, set()).add(price)
    stated: dict[int, set[Price]] = {}
    for price in file:
        stated.setdefault(price.version, set()).add(price)
    for version, prices in stated.items():
        if version in known and known[version] != prices:
            raise PriceFileError(f"version {version} was published with other prices; a new price is a new version")
    return [price for price in file if price.version not in known]
