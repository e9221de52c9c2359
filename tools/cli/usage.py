"""`capstan usage` and `capstan costs`: what was used and what it cost, day by day, with a small chart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Optional

import typer

from tools.cli.chart import bars
from tools.cli.office import Json, Office, chosen_project, office
from tools.cli.sentence import AsJson, DataDir, one_sentence
from tools.cli.tables import show

DAY_S = 86_400
CHART_WIDTH = 30
LONGEST_PAGE = 31
NANO_PER_USD = 10**9

Days = Annotated[int, typer.Option(min=1, max=366, help="How many days, today included.")]
Kind = Annotated[Literal["completions", "embeddings", "moderations"], typer.Option(help="What to sum.")]
Project = Annotated[
    Optional[str],  # noqa: UP045  # typer
    typer.Option("--project", "-p", help="Id or name; all of the organization if left out."),
]


def usage(
    kind: Kind = "completions",
    days: Days = 7,
    project: Project = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show what was used, day by day (UTC)."""
    with one_sentence():
        buckets = list(_buckets(office(data_dir), f"organization/usage/{kind}", days, project))
        sums = [_sums(bucket, "num_model_requests", "input_tokens", "output_tokens") for bucket in buckets]
        drawn = bars([float(asked + made) for _, asked, made in sums], CHART_WIDTH)
        rows = [
            (_day(bucket), *(f"{number:,}" for number in numbers), bar)
            for bucket, numbers, bar in zip(buckets, sums, drawn, strict=True)
        ]
        headings = ("DAY", "REQUESTS", "TOKENS IN", "TOKENS OUT", "")
        show(buckets, headings, rows, as_json=as_json, none="Nothing was used.")


def costs(days: Days = 7, project: Project = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show what it cost, day by day (UTC), in US dollars."""
    with one_sentence():
        buckets = list(_buckets(office(data_dir), "organization/costs", days, project))
        amounts = [sum(int(result["amount_nanousd"]) for result in bucket["results"]) for bucket in buckets]
        drawn = bars([float(amount) for amount in amounts], CHART_WIDTH)
        rows = [
            (_day(bucket), dollars(amount), bar) for bucket, amount, bar in zip(buckets, amounts, drawn, strict=True)
        ]
        rows.append(("in all", dollars(sum(amounts)), ""))
        show(buckets, ("DAY", "USD", ""), rows, as_json=as_json, none="Nothing was used.")


def dollars(nanousd: int) -> str:
    """Write an amount to the millionth of a dollar."""
    return f"{nanousd / NANO_PER_USD:,.6f}"


def _buckets(there: Office, path: str, days: int, project: str | None) -> Iterator[Json]:
    """Yield the days, page by page."""
    start = int(time.time()) // DAY_S * DAY_S - (days - 1) * DAY_S
    asked: dict[str, Any] = {"start_time": start, "limit": min(days, LONGEST_PAGE)}
    if project is not None:
        asked["project_ids"] = chosen_project(there, project)["id"]
    page: Json = {"has_more": True, "next_page": None}
    while page["has_more"]:
        page = there.get(path, **asked, **({"page": page["next_page"]} if page["next_page"] else {}))
        yield from page["data"]


def _sums(bucket: Json, *names: str) -> list[int]:
    return [sum(result.get(name) or 0 for result in bucket["results"]) for name in names]


def _day(bucket: Json) -> str:
    return datetime.fromtimestamp(bucket["start_time"], UTC).strftime("%Y-%m-%d")
