"""Measures greedy answers: exact match by kind of conversation, and the answers every release must give.

    python -m tools.demo_model.evaluate model                    one model
    python -m tools.demo_model.evaluate before after             two, side by side

Three suites: phrasings and words that training has seen, phrasings that were held out, and names, cities,
things and invented words that were held out. Before anything is measured, a large sample of the training
corpus is searched for them: a held out word ends the program, a question that is found there is not asked.
"""

import argparse
from collections import Counter, defaultdict
from pathlib import Path

from tools.demo_model import corpus
from tools.demo_model.draw import Sources
from tools.demo_model.exam import SUITES, Case, MustAnswer, cases, trained_questions

TRAINING_SAMPLES = 100_000
"""Conversations of the training corpus that the held out ones are compared with."""
ALL = "all"

Scores = dict[tuple[str, str], float]
"""Share of right answers by suite and kind."""


def graded(asked: list[Case], given: list[str], failures: int) -> Scores:
    """Return the scores of the answers; print at most this many failures of each suite and kind."""
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    shown: Counter[tuple[str, str]] = Counter()
    for case, text in zip(asked, given, strict=True):
        for kind in (case.kind, ALL):
            right[case.suite, kind].append(text == case.wanted)
        shown[case.suite, case.kind] += text != case.wanted
        if text != case.wanted and shown[case.suite, case.kind] <= failures:
            print(f"{case.suite}, {case.kind}: {case.prompt!r}")
            print(f"    wanted {case.wanted!r}\n    got    {text!r}")
    return {key: sum(hits) / len(hits) for key, hits in right.items()}


def report(must: list[MustAnswer], given: list[str]) -> None:
    """Print the answers every release must give, with those that are wrong marked."""
    good = [bool(item.pattern.fullmatch(text)) for item, text in zip(must, given, strict=True)]
    print(f"must answer: {sum(good)} of {len(good)}")
    for item, text, is_good in zip(must, given, good, strict=True):
        said = " / ".join(message["content"] for message in item.conversation.messages[:-1])
        print(f"  {'ok ' if is_good else 'BAD'} {said} -> {text!r}")


def table(scores: dict[str, Scores]) -> str:
    """Return a Markdown table by kind, one column for each suite and model, empty where nothing was asked."""
    columns = [(suite, model) for suite in SUITES for model in scores]
    lines = ["| kind | " + " | ".join(f"{suite}: {model}" for suite, model in columns) + " |"]
    lines.append("| --- |" + " ---: |" * len(columns))
    for kind in [*(kind.__name__ for kind in corpus.WEIGHTS), ALL]:
        cells = [scores[model].get((suite, kind)) for suite, model in columns]
        lines.append(f"| {kind} | " + " | ".join("" if cell is None else f"{cell:.0%}" for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure the models of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo_model.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, nargs="+", help="folders of models")
    parser.add_argument("--per-kind", type=int, default=40, help="questions of each kind in each suite (40)")
    parser.add_argument("--seed", type=int, default=999, help="another seed asks other questions (999)")
    parser.add_argument("--failures", type=int, default=0, help="wrong answers to print of each suite and kind (0)")
    args = parser.parse_args()
    from tools.demo_model.answers import Answerer  # torch takes seconds to import: not for --help

    sources, must = Sources.load(), MustAnswer.load()
    asked = list(cases(sources, args.per_kind, args.seed, trained_questions(sources, TRAINING_SAMPLES)))
    scores: dict[str, Scores] = {}
    for folder in args.model:
        answer = Answerer(folder)
        scores[folder.name] = graded(asked, answer([case.prompt for case in asked]), args.failures)
        totals = ", ".join(f"{suite} {scores[folder.name][suite, ALL]:.1%}" for suite in SUITES)
        print(f"\n{folder}: {totals}")
        report(must, answer([item.prompt for item in must]))
    print("\n" + table(scores))


if __name__ == "__main__":
    main()
