"""Scores to Markdown, and where in the page it stands."""

from __future__ import annotations

from collections.abc import Iterable

from tools.reference.score import Comparison, Score, Share

BEGIN = "<!-- written by tools.reference: begin -->"
END = "<!-- written by tools.reference: end -->"


def render(comparison: Comparison) -> str:
    """Write the table and what is missing under it."""
    lines = [
        f"Of the {comparison.operation_count} operations in OpenAI's document (version {comparison.version}) "
        f"{len(comparison.scores)} are served. Parameters are counted at the top of a request, answers and chunks with "
        "all that is nested in them; names that the document gives for other kinds of models count as missing too.",
        "",
        "| operation | parameters | answer | chunk of a stream |",
        "|---|---|---|---|",
        *(_row(score) for score in comparison.scores),
        "",
        "What is missing or added, by name:",
        "",
        *(line for score in comparison.scores for line in _difference(score)),
        *_own(comparison),
    ]
    return "\n".join(lines) + "\n"


def placed(page: str, text: str) -> str:
    """Put `text` between the page's marks. Raises `ValueError` when it has none."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no place for the tables: {BEGIN} … {END}")
    return f"{head}{BEGIN}\n{text}{END}{tail}"


def _row(score: Score) -> str:
    cells = [_cell(score.parameters), _cell(score.answer), _cell(score.chunk)]
    return f"| `{score.method.upper()} /v1{score.path}` | {' | '.join(cells)} |"


def _cell(share: Share | None) -> str:
    return f"{share.present}/{len(share.official)}" if share is not None and share.official else "–"


def _difference(score: Score) -> list[str]:
    shares = [("parameters", score.parameters), ("answer", score.answer), ("chunk", score.chunk)]
    told = [
        f"{verb} {where} {_listed(names)}"
        for where, share in shares
        if share is not None
        for verb, names in (("no", share.missing), ("own", share.added))
        if names
    ]
    return [f"* `{score.method.upper()} /v1{score.path}`: {'; '.join(told)}"] if told else []


def _own(comparison: Comparison) -> list[str]:
    if not comparison.own:
        return []
    names = ", ".join(f"`{method.upper()} /v1{path}`" for method, path in comparison.own)
    return ["", f"Operations that OpenAI does not have: {names}."]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
