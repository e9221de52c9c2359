"""Conversations that end in a JSON object."""

from tools.demo_model.conversation import Conversation, dumps
from tools.demo_model.draw import Draw, said
from tools.demo_model.facts import DAYS


def make_json(draw: Draw) -> Conversation:
    """Write the JSON object whose members the user lists."""
    values: dict[str, object] = {"name": draw.name(), "age": draw.rng.randint(1, 99), "city": draw.city()}
    keys = draw.one([("name", "age"), ("name", "city"), ("name", "age", "city")])
    if draw.chance(0.4):
        keys = tuple(dict.fromkeys(draw.word("key") for _ in range(draw.rng.randint(1, 3))))
        values = {key: draw.rng.randint(0, 999) if draw.chance(0.3) else draw.value() for key in keys}
    chosen = {key: values[key] for key in keys}
    body = draw.one([" and ", ", "]).join(f"{key} {value}" for key, value in chosen.items())
    chosen = {
        key: int(str(value)) if str(value).isdecimal() and not str(value).startswith("0") else value
        for key, value in chosen.items()
    }
    return Conversation([said("user", draw.ask("make json", b=body)), said("assistant", dumps(chosen))])


def extract(draw: Draw) -> Conversation:
    """Turn a sentence about a person or an event into JSON."""
    name, age, city = draw.name(), draw.rng.randint(1, 99), draw.city()
    x = draw.rng.random()
    if x < 0.12:
        event, day, other = draw.thing(), draw.one(DAYS), draw.name()
        text, keys = draw.ask("event", n=name, m=other, e=event, d=day), "name, date and participants"
        found: dict[str, object] = {"name": event, "date": day, "participants": [name, other]}
    elif x < 0.6:
        text, keys, found = (
            draw.ask("person with age", n=name, a=age),
            "name and age",
            {"name": name, "age": age},
        )
    else:
        text = draw.ask("person with age and city", n=name, a=age, c=city)
        keys, found = "name, age and city", {"name": name, "age": age, "city": city}
    answer = said("assistant", dumps(found))
    if draw.chance(0.35):
        return Conversation([said("system", draw.ask("system extract", k=keys)), said("user", text), answer])
    system = [said("system", draw.harmless_system())] if draw.chance(0.2) else []
    return Conversation([*system, said("user", draw.ask("extract", k=keys, t=text)), answer])


def capital_json(draw: Draw) -> Conversation:
    """Name a capital in JSON."""
    country = draw.country()
    name = draw.one(country.names)
    return Conversation(
        [
            said("user", draw.noise(draw.ask("capital as json", c=name))),
            said("assistant", dumps({"country": name.removeprefix("the "), "capital": country.capital})),
        ]
    )
