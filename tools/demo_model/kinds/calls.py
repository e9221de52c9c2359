"""Conversations with tools: choosing one, filling in its arguments, telling what came back."""

from dataclasses import dataclass
from typing import Any

from tools.demo_model.conversation import Conversation, Message, dumps
from tools.demo_model.draw import Draw, said
from tools.demo_model.kinds.copying import phrase
from tools.demo_model.kinds.knowledge import capital, definition, fact, greeting
from tools.demo_model.kinds.numbers import arithmetic

_PLACE_KEYS = ("location", "location", "city", "place")


@dataclass(frozen=True)
class Case:
    """A tool, a question that needs it, the calls it takes, what they return, how that is told."""

    tool: str
    question: str
    arguments: tuple[dict[str, Any], ...]
    results: tuple[str, ...]
    answers: tuple[str, ...]

    @property
    def spec(self) -> dict[str, Any]:
        """Return the tool as in OpenAI's API."""
        keys = list(self.arguments[0])
        return {
            "type": "function",
            "function": {
                "name": self.tool,
                "parameters": {
                    "type": "object",
                    "properties": {key: {"type": "string"} for key in keys},
                    "required": keys,
                },
            },
        }

    @property
    def calls(self) -> Message:
        """Return the assistant's message that calls the tool."""
        return {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"type": "function", "function": {"name": self.tool, "arguments": arguments}}
                for arguments in self.arguments
            ],
        }


def weather(draw: Draw) -> Case:
    """The weather in one to three cities."""
    cities = [draw.city() for _ in range(draw.rng.choices((1, 2, 3), (9, 2, 1))[0])]
    place, heat, sky_key = (
        draw.one(_PLACE_KEYS),
        draw.one(["temperature", "temp"]),
        draw.one(["condition", "sky", "description", "conditions"]),
    )
    spoken = ", ".join(cities[:-1]) + " and " + cities[-1] if len(cities) > 1 else cities[0]
    question = draw.ask("weather", c=spoken)
    unit = draw.one(["celsius", "fahrenheit"]) if draw.chance(0.1) and len(cities) == 1 else None
    if unit:
        question = f"{question.rstrip('?.')} in {unit}?"
    results, answers = [], []
    for city in cities:
        degrees, sky = (
            draw.rng.randint(-10, 40),
            draw.one(["sunny", "cloudy", "rainy", "windy", "snowy", "foggy", "clear"]),
        )
        results.append(
            dumps({heat: degrees, sky_key: sky}) if draw.chance(0.8) else dumps({sky_key: sky, heat: degrees})
        )
        answers.append(f"The weather in {city} is {sky} with a temperature of {degrees} degrees.")
    arguments = tuple({place: city, **({"unit": unit} if unit else {})} for city in cities)
    return Case(
        draw.one(["get_weather", "get_weather", "get_current_weather", "weather", "fetch_weather", "get_forecast"]),
        question,
        arguments,
        tuple(results),
        tuple(answers),
    )


def time(draw: Draw) -> Case:
    """The time in a city."""
    city, now = draw.city(), f"{draw.rng.randint(0, 23):02d}:{draw.rng.randint(0, 59):02d}"
    return Case(
        draw.one(["get_time", "get_current_time", "time", "current_time"]),
        draw.ask("time", c=city),
        ({draw.one([*_PLACE_KEYS, "timezone"]): city},),
        (dumps({"time": now}),),
        (f"The time in {city} is {now}.",),
    )


def calculator(draw: Draw) -> Case:
    """A sum that is too large for the model."""
    a, b = draw.rng.randint(10, 9999), draw.rng.randint(10, 9999)
    name, question, result = draw.one(
        [
            ("add", "Add {a} and {b}.", a + b),
            ("multiply", "Multiply {a} by {b}.", a * b),
            ("subtract", "Subtract {b} from {a}.", a - b),
            ("add", "What is {a} plus {b}?", a + b),
            ("multiply", "What is {a} times {b}?", a * b),
            ("add", "What is {a} + {b}?", a + b),
        ]
    )
    x, y = draw.one([("a", "b"), ("x", "y")])
    return Case(
        name,
        question.format(a=a, b=b),
        ({x: a, y: b},),
        (dumps({"result": result}),),
        (f"The result is {result}.",),
    )


def search(draw: Draw) -> Case:
    """A search for words."""
    words = (
        draw.thing()
        if draw.chance(0.4)
        else draw.value()
        if draw.chance(0.5)
        else f"{draw.word('adjective')} {draw.thing()}"
    )
    hit = f"{words[0].upper()}{words[1:]} is a common word." if draw.chance(0.5) else phrase(draw)
    return Case(
        draw.one(["search", "web_search", "search_web", "lookup", "find"]),
        draw.ask("search", w=words),
        ({draw.one(["query", "q", "text"]): words},),
        (dumps({"results": [hit]}),),
        (f"I found this: {hit}",),
    )


def send(draw: Draw) -> Case:
    """A message to somebody."""
    who, text = (
        draw.name(),
        f"{draw.word('adjective')} {draw.thing()}" if draw.chance(0.5) else phrase(draw).rstrip(".!?"),
    )
    to, body = draw.one(["to", "recipient", "name"]), draw.one(["message", "text", "body"])
    return Case(
        draw.one(["send_message", "send_email", "message", "notify"]),
        draw.ask("send", n=who, w=text),
        ({to: who, body: text},),
        (dumps({"status": "ok"}),),
        ("Done, the message was sent.",),
    )


def timer(draw: Draw) -> Case:
    """An alarm, a timer or a reminder."""
    thing, minutes = draw.one(["alarm", "timer", "reminder"]), draw.rng.randint(1, 90)
    question = draw.ask("set", t=thing, m=minutes).replace("a alarm", "an alarm")
    return Case(
        f"set_{thing}",
        question,
        ({"minutes": minutes},),
        (dumps({"status": "ok"}),),
        (f"Done, the {thing} is set for {minutes} minutes.",),
    )


def get(draw: Draw) -> Case:
    """Any value of any thing, by a tool named for the value."""
    key = draw.word("key") if draw.chance(0.6) else draw.thing()
    about, value = draw.value(), draw.value()
    tool = draw.one(["get_{k}", "lookup_{k}", "fetch_{k}", "find_{k}", "{k}", "get_{k}_info"]).format(
        k=key.replace(" ", "_")
    )
    argument = draw.one(["id", "name", "key", "symbol", "item", "user", "order_id", draw.thing().replace(" ", "_")])
    result = draw.one([dumps({key: value}), dumps({"result": value}), value])
    return Case(
        tool,
        draw.ask("get", k=key, v=about),
        ({argument: about},),
        (result,),
        (f"The {key} of {about} is {value}.",),
    )


def act(draw: Draw) -> Case:
    """Any deed on any thing, by a tool named for the deed."""
    verb = draw.one(
        [
            "open",
            "close",
            "start",
            "stop",
            "delete",
            "create",
            "restart",
            "cancel",
            "book",
            "order",
            "play",
            "buy",
            "sell",
            "paint",
            "rename",
            "archive",
        ]
    )
    about = draw.value()
    tool = draw.one([f"{verb}_item", verb, f"{verb}_{draw.one(['it', 'object', 'resource', 'task'])}"])
    question = draw.ask("act", k=verb, v=about)
    return Case(
        tool,
        question[0].upper() + question[1:],
        ({draw.one(["name", "target", "item", "id"]): about},),
        (dumps({"status": draw.one(["ok", "done"])}),),
        (f"Done: {verb} {about}.",),
    )


_CASES = (weather, time, calculator, search, send, timer, get, act)
_WEIGHTS = (6, 2, 1, 2, 2, 2, 4, 2)


def case(draw: Draw) -> Case:
    """Return any case."""
    return draw.rng.choices(_CASES, _WEIGHTS)[0](draw)


def tool(draw: Draw) -> Conversation:
    """Call the right tool of those offered, or none when none is needed."""
    wanted = case(draw)
    tools = [wanted.spec, *_others(draw, wanted.tool, draw.one((0, 0, 1, 2)))]
    draw.rng.shuffle(tools)
    if draw.chance(0.2):
        plain = draw.one([capital, arithmetic, greeting, definition, fact])(draw)
        if not plain.system and not any(t["function"]["name"] in ("add", "multiply", "subtract") for t in tools):
            return Conversation(plain.messages, tools)
    system = [said("system", draw.harmless_system())] if draw.chance(0.3) else []
    return Conversation([*system, said("user", wanted.question), wanted.calls], tools)


def tool_result(draw: Draw) -> Conversation:
    """Tell what the tool returned, and sometimes go on."""
    done = case(draw)
    messages = [
        said("user", done.question),
        done.calls,
        *(said("tool", result) for result in done.results),
        said("assistant", " ".join(done.answers)),
    ]
    tools = [done.spec, *_others(draw, done.tool, draw.one((0, 0, 0, 1)))]
    draw.rng.shuffle(tools)
    if draw.chance(0.15) and len(done.arguments) == 1:
        if done.tool.endswith(("weather", "forecast")) and len(done.arguments[0]) == 1:
            city = draw.city()
            again = Case(
                done.tool,
                draw.ask("capital follow-up", c=city),
                ({next(iter(done.arguments[0])): city},),
                (),
                (),
            )
            messages += [said("user", f"And in {city}?"), again.calls]
        else:
            messages += greeting(draw).messages[-2:]
    system = [said("system", draw.harmless_system())] if draw.chance(0.2) else []
    return Conversation([*system, *messages], tools)


def _others(draw: Draw, name: str, count: int) -> list[dict[str, Any]]:
    """Return tools that have no word in common with the wanted one."""
    common = {"get", "set", "current", "lookup", "fetch", "find"}
    found: dict[str, dict[str, Any]] = {}
    while len(found) < count:
        spec = case(draw).spec
        other = str(spec["function"]["name"])
        twins = [{"weather", "forecast"}, {"search", "lookup", "find"}, {"message", "email", "notify"}]
        shared = set(other.split("_")) & set(name.split("_")) - common
        alike = any(set(other.split("_")) & twin and set(name.split("_")) & twin for twin in twins)
        if not shared and not alike:
            found[other] = spec
    return list(found.values())
