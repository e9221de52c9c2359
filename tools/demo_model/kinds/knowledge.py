"""Conversations that need a fact the model has learned by heart."""

from tools.demo_model.conversation import Conversation
from tools.demo_model.draw import Draw, said
from tools.demo_model.facts import DAYS, LANGUAGE_WORDS, MONTH_DAYS, MONTHS, ORDINALS


def greeting(draw: Draw) -> Conversation:
    """Say hello, good-bye and who one is."""
    answer = draw.one(draw.facts.greetings)
    return draw.chat(draw.asked(answer.questions), answer.text)


def fact(draw: Draw) -> Conversation:
    """Answer a question that has one fixed answer."""
    answer = draw.one(draw.facts.answers)
    return draw.chat(draw.asked(answer.questions), answer.text)


def capital(draw: Draw) -> Conversation:
    """Name a capital, and another one in a follow-up."""
    country = draw.country()
    name = draw.one(country.names)
    conversation = draw.chat(
        draw.ask("capital", c=name), f"The capital of {name} is {country.capital}.", country.capital
    )
    if draw.chance(0.15) and not conversation.system:
        country = draw.country()
        name = draw.one(country.names)
        conversation.messages += [
            said("user", draw.noise(draw.ask("capital follow-up", c=name))),
            said("assistant", f"The capital of {name} is {country.capital}."),
        ]
    return conversation


def country(draw: Draw) -> Conversation:
    """Name the country of a capital."""
    place = draw.country()
    return draw.chat(
        draw.ask("country", x=place.capital),
        f"{place.capital} is the capital of {place.names[0]}.",
        place.names[0].removeprefix("the "),
    )


def continent(draw: Draw) -> Conversation:
    """Name the continent of a country."""
    place = draw.country()
    name = draw.one(place.names)
    return draw.chat(
        draw.ask("continent", c=name),
        f"{name[0].upper()}{name[1:]} is in {place.continent}.",
        place.continent,
    )


def calendar(draw: Draw) -> Conversation:
    """Know the days and months and their order."""
    names, unit, whole = (DAYS, "day", "week") if draw.chance(0.5) else (MONTHS, "month", "year")
    i, x = draw.rng.randrange(len(names)), draw.rng.random()
    if x < 0.3:
        after = names[(i + 1) % len(names)]
        return draw.chat(draw.ask("after", u=unit, x=names[i]), f"{after} comes after {names[i]}.", after)
    if x < 0.55:
        before = names[i - 1]
        return draw.chat(draw.ask("before", u=unit, x=names[i]), f"{before} comes before {names[i]}.", before)
    if x < 0.75:
        return draw.chat(
            draw.ask("nth", o=ORDINALS[i], u=unit, w=whole),
            f"The {ORDINALS[i]} {unit} of the {whole} is {names[i]}.",
            names[i],
        )
    if x < 0.85:
        return draw.chat(draw.ask("units", u=unit, w=whole), ", ".join(names))
    i = draw.rng.randrange(12)
    leap = ", or 29 in a leap year" if i == 1 else ""
    return draw.chat(
        draw.ask("month days", m=MONTHS[i]),
        f"{MONTHS[i]} has {MONTH_DAYS[i]} days{leap}.",
        str(MONTH_DAYS[i]),
    )


def definition(draw: Draw) -> Conversation:
    """Define a term of computing or of general knowledge."""
    text, terms = draw.one(draw.facts.definitions)
    term = draw.one(terms)
    return draw.chat(draw.ask("what is", t=term, b=bare(term)), text)


def bare(term: str) -> str:
    """Return a term without its article."""
    article, _, rest = term.partition(" ")
    return rest if article in ("a", "an", "the") else term


def language(draw: Draw) -> Conversation:
    """Translate one of eight words into one of fifteen languages."""
    name, *words = draw.one(draw.facts.languages)
    i = draw.rng.randrange(len(words))
    word = LANGUAGE_WORDS[i]
    return draw.chat(
        draw.ask("language", w=word, l=name),
        f'"{word[0].upper()}{word[1:]}" in {name} is "{words[i]}".',
        words[i],
    )


def opposite(draw: Draw) -> Conversation:
    """Name the opposite of a word; "light" means the opposite of "dark"."""
    one, other = draw.one(draw.facts.pairs["opposite"])
    if draw.chance(0.5) and other != "light":
        one, other = other, one
    if one == "light":
        other = "dark"
    return draw.chat(draw.ask("opposite", a=one), f"The opposite of {one} is {other}.", other)


def sound(draw: Draw) -> Conversation:
    """Say what an animal says."""
    animal, noise = draw.one(draw.facts.pairs["sound"])
    article = "An" if animal[0] in "aeiou" else "A"
    return draw.chat(draw.ask("sound", a=animal), f"{article} {animal} says {noise}.", noise)


def colour(draw: Draw) -> Conversation:
    """Name the colour of a thing."""
    thing, name = draw.one(draw.facts.pairs["colour"])
    return draw.chat(draw.ask("colour", a=thing), f"The color of {thing} is {name}.", name)


def sentiment(draw: Draw) -> Conversation:
    """Tell praise from blame."""
    good = draw.chance(0.5)
    adjective = draw.one(
        (
            "great wonderful excellent lovely amazing fantastic good perfect"
            if good
            else "terrible awful bad horrible boring broken poor disappointing"
        ).split()
    )
    thing = draw.thing()
    text = draw.one(
        [
            f"The {thing} was {adjective}.",
            f"This {thing} is {adjective}.",
            f"What a {adjective} {thing}!",
            "I love it." if good else "I hate it.",
        ]
    )
    verdict = "positive" if good else "negative"
    return draw.chat(draw.ask("sentiment", t=text), f"{verdict.capitalize()}.", verdict)
