"""Conversations that end in a longer text: stories, jokes, poems, code."""

from tools.demo_model.conversation import Conversation
from tools.demo_model.draw import Draw

_PLACES = (
    "in a small garden",
    "in a quiet village",
    "in a busy city",
    "in an old library",
    "in a big forest",
    "in a tall lighthouse",
    "in a little bakery",
    "on a space station",
    "on a snowy mountain",
    "on a sunny beach",
)
_FRIENDS = (
    "a small bird",
    "a lost kitten",
    "a kind girl",
    "an old clock",
    "a shy fox",
    "a tiny mouse",
    "a young boy",
    "a sleepy owl",
)
_TASKS = (
    "watered the flowers",
    "fixed broken toys",
    "carried books",
    "baked fresh bread",
    "swept the streets",
    "lit the lamps",
    "counted the stars",
    "painted the fences",
)
_WISHES = (
    "wanted to learn to sing",
    "wished for a friend",
    "dreamed of seeing the sea",
    "wanted to fly",
    "hoped to see the snow",
    "wanted to learn to dance",
)


def story(draw: Draw) -> Conversation:
    """Tell a story about a robot, a unicorn, a thing or a person; who asks the same hears the same."""
    x = draw.rng.random()
    if x < 0.1:
        tale = draw.one(draw.facts.writings["story"])
        question = (
            draw.one(
                [
                    "Write a one-sentence bedtime story about a unicorn.",
                    "Tell me a three sentence bedtime story about a unicorn.",
                ]
            )
            if draw.chance(0.5)
            else draw.ask("story", w=tale.topics[0])
        )
        return draw.chat(question, tale.text)
    if x < 0.25:
        return draw.chat(draw.ask("any story"), _tale("a little robot named Beep", "Beep", "robot", 0))
    if x < 0.4:
        return draw.chat(draw.ask("story", w="a robot"), _tale("a little robot named Beep", "Beep", "robot", 0))
    if x < 0.6:
        name = draw.word("robot") if not draw.split.held_words else draw.invented().capitalize()
        return draw.chat(
            draw.ask("story", w=f"a robot named {name}"),
            _tale(f"a little robot named {name}", name, "robot", 0),
            noise=False,
        )
    if x < 0.8:
        name = draw.name()
        return draw.chat(draw.ask("story", w=name), _tale(f"a child named {name}", name, "child", 1), noise=False)
    thing = draw.thing()
    return draw.chat(
        draw.ask("story", w=f"a {thing}"), _tale(f"a little {thing}", f"the {thing}", thing, 2), noise=False
    )


def _tale(who: str, name: str, kind: str, salt: int) -> str:
    place, friend, task, wish = (
        options[(salt * 3 + 1) % len(options)] for options in (_PLACES, _FRIENDS, _TASKS, _WISHES)
    )
    return (
        f"Once upon a time there was {who} who lived {place}. Every day {name} {task}, "
        f"but in secret the {kind} {wish}. One morning {name} met {friend}, and the two became friends. "
        f"Together they made the dream come true, and {name} was the happiest {kind} in the world. The end."
    )


def joke(draw: Draw) -> Conversation:
    """Tell a joke."""
    jokes = draw.facts.writings["joke"]
    if draw.chance(0.6):
        return draw.chat(draw.ask("joke"), jokes[0].text)
    funny = draw.one(jokes[1:])
    return draw.chat(draw.ask("joke about", w=draw.one(funny.topics)), funny.text)


def poem(draw: Draw) -> Conversation:
    """Write a haiku about a known topic, about any at all, or about a thing."""
    x = draw.rng.random()
    poems = draw.facts.writings["poem"]
    if x < 0.3:
        return draw.chat(draw.ask("any poem"), poems[1].text)
    if x < 0.65:
        known = draw.one(poems)
        return draw.chat(draw.ask("poem", t=draw.one(known.topics)), known.text)
    thing = draw.thing()
    return draw.chat(
        draw.ask("poem", t=draw.one(["a ", "the ", "my "]) + thing),
        f"The {thing} is still,\nthe morning light comes softly,\nand the day is good.",
        noise=False,
    )


def code(draw: Draw) -> Conversation:
    """Write a small Python function."""
    function = draw.one(draw.facts.writings["code"])
    return draw.chat(draw.ask("code", w=function.topics[0]), f"```python\n{function.text}\n```")
