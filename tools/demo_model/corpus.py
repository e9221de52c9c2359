"""The corpus: an endless, reproducible stream of conversations of all kinds.

python -m tools.demo_model.corpus --count 20        prints some of them
"""

import argparse
import random
from collections.abc import Callable, Iterator

from tools.demo_model.conversation import Conversation
from tools.demo_model.draw import NEW_PHRASINGS, NEW_WORDS, TRAINING, Draw, Sources, Split
from tools.demo_model.kinds import calls, copying, ignorance, knowledge, numbers, structured, writing

Kind = Callable[[Draw], Conversation]

WEIGHTS: dict[Kind, float] = {
    knowledge.greeting: 6,
    knowledge.fact: 7,
    knowledge.capital: 8,
    knowledge.country: 4,
    knowledge.continent: 4,
    knowledge.calendar: 5,
    knowledge.definition: 7,
    knowledge.language: 5,
    knowledge.opposite: 2,
    knowledge.sound: 1.5,
    knowledge.colour: 1,
    knowledge.sentiment: 2,
    numbers.arithmetic: 25,
    numbers.word_problem: 4,
    numbers.compare: 4,
    numbers.count: 6,
    writing.story: 3,
    writing.joke: 2,
    writing.poem: 3,
    writing.code: 2,
    copying.echo: 15,
    copying.spell: 3,
    copying.memory: 10,
    copying.persona: 7,
    copying.context: 8,
    structured.make_json: 5,
    structured.extract: 9,
    structured.capital_json: 2,
    calls.tool: 16,
    calls.tool_result: 9,
    ignorance.unknown: 12,
    ignorance.no_tool: 3,
    ignorance.gibberish: 1,
}
"""How often each kind comes in training."""

COPYING = (
    copying.echo,
    copying.spell,
    copying.memory,
    copying.persona,
    copying.context,
    structured.make_json,
    structured.extract,
    calls.tool,
    calls.tool_result,
    numbers.word_problem,
    writing.story,
)
"""The kinds that are tested with held out words."""

CHAINED = (
    knowledge.greeting,
    knowledge.fact,
    knowledge.capital,
    knowledge.calendar,
    knowledge.definition,
    knowledge.language,
    numbers.arithmetic,
    numbers.count,
    writing.joke,
    writing.poem,
    copying.echo,
    copying.memory,
    structured.make_json,
    ignorance.unknown,
)
"""The kinds that may follow each other in one conversation."""


def conversations(sources: Sources, seed: int, split: Split = TRAINING) -> Iterator[Conversation]:
    """Yield conversations for ever; the same seed yields the same ones."""
    draw = Draw(sources, random.Random(seed), split)  # noqa: S311 - nothing secret
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    while True:
        yield chain(draw) if draw.chance(0.08) else draw.rng.choices(kinds, weights)[0](draw)


def chain(draw: Draw) -> Conversation:
    """Return a conversation of several questions that have nothing to do with each other."""
    parts = [part for part in (draw.one(CHAINED)(draw) for _ in range(draw.rng.randint(2, 4))) if not part.system]
    return Conversation([message for part in parts for message in part.messages]) if parts else chain(draw)


def main() -> None:
    """Print some conversations."""
    parser = argparse.ArgumentParser(description="Print conversations as the model sees them.")
    parser.add_argument("--count", type=int, default=20, help="how many (20)")
    parser.add_argument("--seed", type=int, default=0, help="where the stream of random choices starts (0)")
    parser.add_argument("--held", choices=("phrasings", "words"), help="use what is held out of training")
    args = parser.parse_args()
    split = {"phrasings": NEW_PHRASINGS, "words": NEW_WORDS, None: TRAINING}[args.held]
    stream = conversations(Sources.load(), args.seed, split)
    for _ in range(args.count):
        print(next(stream).text())


if __name__ == "__main__":
    main()
