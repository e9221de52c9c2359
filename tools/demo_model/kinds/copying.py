"""Conversations that carry words over, seen or not: echo, memory, personas, facts of a context."""

from tools.demo_model.conversation import Conversation
from tools.demo_model.draw import Draw, said
from tools.demo_model.facts import IDENTITY_HELP
from tools.demo_model.kinds.knowledge import capital, greeting
from tools.demo_model.kinds.numbers import arithmetic

_SMALL_WORDS = [
    "the",
    "a",
    "is",
    "in",
    "of",
    "and",
    "to",
    "my",
    "not",
    "this",
    "we",
    "it",
    "on",
    "for",
    "with",
    "you",
    "are",
    "was",
    "here",
    "there",
    "now",
    "never",
]


def phrase(draw: Draw) -> str:
    """Return something to be copied: a word, a row of words, a sentence."""
    r, x = draw.rng, draw.rng.random()
    if x < 0.2:
        return draw.value()
    if x < 0.35:
        return " ".join(draw.value() for _ in range(r.randint(2, 4)))
    if x < 0.45:
        return " ".join(draw.one([draw.invented, draw.thing, draw.name])() for _ in range(r.randint(5, 12)))
    if x < 0.6:
        return f"{draw.invented()} {draw.invented()}"
    words = [
        draw.one(_SMALL_WORDS) if r.random() < 0.45 else draw.thing() if r.random() < 0.6 else draw.word("adjective")
        for _ in range(r.randint(3, 7))
    ]
    text = " ".join(words)
    return (text[0].upper() + text[1:] if r.random() < 0.5 else text) + r.choice(["", "", ".", "!", "?"])


def echo(draw: Draw) -> Conversation:
    """Say what one is told to say."""
    x = draw.rng.random()
    if x < 0.06:
        what = draw.one(
            [
                f"a {draw.thing()}",
                f"a {draw.word('adjective')} {draw.thing()}",
                draw.name(),
                f"the {draw.thing()}",
            ]
        )
        return draw.chat(draw.ask("say this is", t=what), f"This is {what}.", noise=False)
    text = phrase(draw)
    system = [said("system", draw.harmless_system())] if x < 0.2 else []
    return Conversation([*system, said("user", draw.ask("echo", t=text)), said("assistant", text)])


def spell(draw: Draw) -> Conversation:
    """Spell a word."""
    word = draw.thing() if draw.chance(0.5) else draw.invented()
    return Conversation([said("user", draw.ask("spell", w=word)), said("assistant", "-".join(word.upper()))])


def memory(draw: Draw) -> Conversation:
    """Remember what the user told some turns ago."""
    told = draw.one([_own_name, _own_name, _own_value, _own_value, _home, _age])(draw)
    tell, reply, ask, answer = told
    messages = [said("user", tell), said("assistant", reply)]
    for _ in range(draw.rng.choices((0, 1, 2), (5, 3, 1))[0]):
        messages += draw.one([capital, arithmetic, greeting])(draw).messages[-2:]
    if draw.chance(0.08):
        ask, answer = (
            draw.ask("ask last"),
            f'You said: "{[m for m in messages if m["role"] == "user"][-1]["content"]}"',
        )
    system = [said("system", draw.harmless_system())] if draw.chance(0.15) else []
    return Conversation([*system, *messages, said("user", draw.noise(ask)), said("assistant", answer)])


def _own_name(draw: Draw) -> tuple[str, str, str, str]:
    name = draw.name()
    tell = draw.ask("tell name", v=name) if draw.chance(0.5) else draw.ask("tell value", k="name", v=name)
    ask = draw.ask("ask name") if draw.chance(0.5) else draw.ask("ask value", k="name")
    return tell, f"Nice to meet you, {name}!", ask, f"Your name is {name}."


def _own_value(draw: Draw) -> tuple[str, str, str, str]:
    kind = draw.one(
        [
            "favorite color",
            "favorite animal",
            "favorite number",
            "favorite food",
            "favorite city",
            "favorite word",
            "dog",
            "cat",
            "boss",
            "best friend",
            "order number",
            "code",
            "hobby",
            "team",
            f"favorite {draw.thing()}",
        ]
    )
    value = draw.value()
    return (
        draw.ask("tell value", k=kind, v=value),
        f"I will remember that your {kind} is {value}.",
        draw.ask("ask value", k=kind),
        f"Your {kind} is {value}.",
    )


def _home(draw: Draw) -> tuple[str, str, str, str]:
    city = draw.city()
    return (
        draw.ask("tell home", v=city),
        f"I will remember that you live in {city}.",
        draw.ask("ask home"),
        f"You live in {city}.",
    )


def _age(draw: Draw) -> tuple[str, str, str, str]:
    age = draw.rng.randint(3, 99)
    return (
        draw.ask("tell age", v=age),
        f"I will remember that you are {age} years old.",
        draw.ask("ask age"),
        f"You are {age} years old.",
    )


def persona(draw: Draw) -> Conversation:
    """Take the name and the role that the system prompt gives."""
    name = draw.word("robot") if draw.chance(0.15) and not draw.split.held_words else draw.name()
    role = None
    if draw.chance(0.5):
        role = draw.word("role")
        if draw.chance(0.5):
            role = draw.one(
                [
                    "a {a} {t} expert",
                    "the {a} assistant of {n}",
                    "an assistant at {n}",
                    "a {a} guide to {c}",
                    "a bot that sells {t}s",
                    "the {t} helper of {n}",
                ]
            ).format(a=draw.word("adjective"), t=draw.thing(), n=draw.invented().capitalize(), c=draw.city())
    system = draw.ask("persona with role", n=name, d=role) if role else draw.ask("persona", n=name)
    answer = f"I am {name}, {role}. {IDENTITY_HELP}" if role else f"I am {name}. {IDENTITY_HELP}"
    messages = [said("user", draw.noise(draw.ask("who are you"))), said("assistant", answer)]
    if draw.chance(0.2):
        other = draw.one([capital, arithmetic])(draw).messages
        if other[0]["role"] == "user":
            messages = other[:2] if draw.chance(0.5) else other[:2] + messages
    return Conversation([said("system", system), *messages])


def context(draw: Draw) -> Conversation:
    """Find a fact among those in the system prompt or the question, or admit that it is not there."""
    facts: dict[tuple[str, str], str] = {}
    for _ in range(draw.rng.choices((1, 2, 3, 4), (4, 4, 2, 1))[0]):
        about = draw.one([draw.name(), draw.city(), f"the {draw.thing()}", draw.invented().capitalize()])
        key = draw.word("key")
        facts[key, about] = draw.value() if draw.chance(0.7) else str(draw.rng.randint(1, 9999))
    (key, about), value = draw.one(list(facts.items()))
    text = " ".join(draw.ask("fact in context", k=k, x=x, v=v).rstrip(".") + "." for (k, x), v in facts.items())
    question, answer = draw.ask("ask context", k=key, x=about), f"The {key} of {about} is {value}."
    frame = draw.ask("context frame", f=text)
    if draw.chance(0.3):
        return Conversation([said("user", f"{frame}{draw.one([' ', chr(10)])}{question}"), said("assistant", answer)])
    return Conversation([said("system", frame), said("user", question), said("assistant", answer)])
