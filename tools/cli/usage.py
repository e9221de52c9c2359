"""`capstan usage` and `capstan costs`: what was used and what it cost, day by day and in all."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Optional

import typer

from tools.cli.chart import Line, chart, has_blocks
from tools.cli.money import dollars
from tools.cli.office import MOST_PAGES, Json, Office, chosen_project, office
from tools.cli.sentence import AsJson, DataDir, one_sentence
from tools.cli.tables import print_json, table

DAY_S = 86_400
MOST_DAYS = 366
LONGEST_PAGE = 31
KINDS = ("completions", "embeddings", "moderations")
COUNTS = ("num_model_requests", "input_tokens", "input_cached_tokens", "output_tokens")

By = Literal["model", "project", "key", "user"]
CostsBy = Literal["model", "project", "key"]
FIELDS: Mapping[str, str] = {"model": "model", "project": "project_id", "key": "api_key_id", "user": "user_id"}
COST_FIELDS: Mapping[str, str] = {"model": "line_item", "project": "project_id", "key": "api_key_id"}
"""Costs are told apart by what was sold, which is a model through an API."""

Days = Annotated[int, typer.Option(min=1, max=MOST_DAYS, help="Days (UTC) up to now, today included.")]
Project = Annotated[
    Optional[str],  # noqa: UP045  # typer
    typer.Option("--project", "-p", help="Only this project: its id or name."),
]


def usage(
    days: Days = 7,
    by: Annotated[By, typer.Option(help="What to tell apart.")] = "model",
    project: Project = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show tokens and requests: a bar for each day, then who used them.

    For example:

    capstan usage --days 30

    capstan usage --by key --project Apollo

    capstan usage --json | jq '.completions[].results'
    """
    with one_sentence():
        there = office(data_dir)
        query = _query(there, days, project) | {"group_by": FIELDS[by]}
        found = {kind: list(buckets(there, f"organization/usage/{kind}", query)) for kind in KINDS}
        if as_json:
            print_json(found)
            return
        daily: Counter[int] = Counter()
        groups: dict[str, Counter[str]] = {}
        for bucket in (each for kind in KINDS for each in found[kind]):
            daily[bucket["start_time"]] += 0
            for result in bucket["results"]:
                daily[bucket["start_time"]] += result["input_tokens"] + result.get("output_tokens", 0)
                total = groups.setdefault(result[FIELDS[by]], Counter())
                total.update({name: result.get(name, 0) for name in COUNTS})
        _draw([(day(start), count, f"{count:,}") for start, count in sorted(daily.items())], "tokens")
        names = _names(there, by)
        ranked = sorted(groups.items(), key=lambda item: -item[1]["input_tokens"] - item[1]["output_tokens"])
        rows = [(names.get(name, name), *(f"{total[count]:,}" for count in COUNTS)) for name, total in ranked]
        _table((by.upper(), "REQUESTS", "INPUT", "CACHED", "OUTPUT"), rows, f"Nothing was used in {_span(days)}.")


def costs(
    days: Days = 7,
    by: Annotated[CostsBy, typer.Option(help="What to tell apart.")] = "model",
    project: Project = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show what was spent: a bar for each day, then on what.

    For example:

    capstan costs --days 30 --by project

    capstan limits spend set 25 --project Apollo    and no more than that in a month
    """
    with one_sentence():
        there = office(data_dir)
        query = _query(there, days, project) | {"group_by": COST_FIELDS[by]}
        found = list(buckets(there, "organization/costs", query))
        if as_json:
            print_json({"data": found})
            return
        daily: Counter[int] = Counter()
        groups: Counter[str] = Counter()
        for bucket in found:
            daily[bucket["start_time"]] += 0
            for result in bucket["results"]:
                amount = int(result["amount"]["value_nanousd"])
                daily[bucket["start_time"]] += amount
                groups[result[COST_FIELDS[by]]] += amount
        _draw([(day(start), amount, dollars(amount)) for start, amount in sorted(daily.items())], "US dollars")
        names = _names(there, by)
        rows = [(names.get(name, name), dollars(amount)) for name, amount in groups.most_common()]
        if len(rows) > 1:
            rows.append(("in all", dollars(groups.total())))
        _table((by.upper(), "SPENT"), rows, f"Nothing was spent in {_span(days)}.")


def buckets(there: Office, path: str, query: Mapping[str, Any]) -> Iterator[Json]:
    """Yield all buckets of a question, page by page. Raises `Problem`."""
    more: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        page = there.get(path, **query, **more)
        yield from page["data"]
        if not page["has_more"]:
            return
        more = {"page": page["next_page"]}


def day(start: int) -> str:
    """Name a day, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(start))


def _query(there: Office, days: int, project: str | None) -> dict[str, Any]:
    now = int(time.time())
    query: dict[str, Any] = {"start_time": (now // DAY_S - days + 1) * DAY_S, "limit": min(days, LONGEST_PAGE)}
    if project is not None:
        query["project_ids"] = chosen_project(there, project)["id"]
    return query


def _names(there: Office, by: str) -> dict[str, str]:
    """Find what projects are called; other things go by their ids."""
    if by != "project":
        return {}
    listed = there.every("organization/projects", include_archived="true")
    return {project["id"]: f"{project['name']} ({project['id']})" for project in listed}


def _span(days: int) -> str:
    return "these days" if days > 1 else "this day"


def _draw(lines: list[Line], unit: str) -> None:
    width = shutil.get_terminal_size().columns
    print(f"{unit} a day (UTC)")
    print("\n".join(chart(lines, width, blocks=has_blocks(sys.stdout.encoding))))


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], none: str) -> None:
    if rows:
        print()
        print("\n".join(table(headings, rows)))
    else:
        print(f"\n{none}", file=sys.stderr)
