"""Conversations in which the honest answer is "I do not know"."""

from tools.demo_model.conversation import Conversation
from tools.demo_model.draw import Draw
from tools.demo_model.facts import GIBBERISH, NO_TOOL, UNKNOWN
from tools.demo_model.kinds.calls import act, search, send, time, timer, weather
from tools.demo_model.kinds.knowledge import bare


def unknown(draw: Draw) -> Conversation:
    """Admit not to know something."""
    x = draw.rng.random()
    if x < 0.12:
        place = draw.hard_word("place") if draw.chance(0.4) else draw.invented().capitalize()
        return draw.chat(draw.ask("capital", c=place), UNKNOWN)
    if x < 0.3:
        term = (
            draw.hard_word("term")
            if draw.chance(0.6)
            else draw.one(["", "a ", "the "]) + (draw.thing() if draw.chance(0.6) else draw.invented())
        )
        return draw.chat(draw.ask("what is", t=term, b=bare(term)), UNKNOWN)
    return draw.chat(draw.unknown_question(), UNKNOWN)


def no_tool(draw: Draw) -> Conversation:
    """Say that a tool would be needed."""
    return draw.chat(draw.one([weather, weather, time, search, send, timer, act])(draw).question, NO_TOOL)


def gibberish(draw: Draw) -> Conversation:
    """Say that nothing was understood."""
    letters = "qwertyuiopasdfghjklzxcvbnm"
    text = " ".join(
        "".join(draw.one(letters) for _ in range(draw.rng.randint(3, 10))) for _ in range(draw.one((1, 1, 2)))
    )
    return draw.chat(text, GIBBERISH)
