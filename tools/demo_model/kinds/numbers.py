"""Conversations that need arithmetic, order or counting."""

from tools.demo_model.conversation import Conversation
from tools.demo_model.draw import Draw
from tools.demo_model.facts import NUMBER_WORDS, TOO_LARGE

_SPOKEN = {
    "+": ("plus", "and", "plus"),
    "-": ("minus",),
    "*": ("times", "multiplied by"),
    "/": ("divided by",),
}
_WRITTEN = {"+": ("+",), "-": ("-",), "*": ("*", "x", "×"), "/": ("/", "÷")}


def arithmetic(draw: Draw) -> Conversation:
    """Add and subtract numbers of up to two digits, multiply and divide within the tables up to 12."""
    op = draw.rng.choices("+-*/", (8, 5, 4, 2))[0]
    a, b = _operands(draw, op)
    result = {"+": a + b, "-": a - b, "*": a * b, "/": a // (b or 1)}[op]
    if draw.chance(0.04):
        a, b = draw.rng.randint(100, 99999), draw.rng.randint(11, 99999)
        return draw.chat(draw.ask("sum", s=_written(draw, op, a, b)), TOO_LARGE)
    x: object = a
    y: object = b
    if draw.chance(0.1) and a <= 20 and b <= 20:
        x, y = NUMBER_WORDS[a], NUMBER_WORDS[b]
    question = draw.ask(f"sum {op}", a=x, b=y) if draw.chance(0.3) else draw.ask("sum", s=_written(draw, op, x, y))
    return draw.chat(question, f"{a} {op} {b} = {result}", str(result))


def _operands(draw: Draw, op: str) -> tuple[int, int]:
    r = draw.rng
    if op in "*/":
        a, b = r.randint(0, 12), r.randint(1, 12)
        return (a * b, b) if op == "/" else (a, b)
    top = r.choice((12, 30, 99, 99, 99))
    a, b = r.randint(0, top), r.randint(0, top)
    return (b, a) if op == "-" and b > a and r.random() < 0.85 else (a, b)


def _written(draw: Draw, op: str, a: object, b: object) -> str:
    if isinstance(a, str) or draw.chance(0.3):
        return f"{a} {draw.one(_SPOKEN[op])} {b}"
    sign = draw.one(_WRITTEN[op]) if draw.chance(0.4) else op
    return f"{a}{sign}{b}" if draw.chance(0.3) else f"{a} {sign} {b}"


def word_problem(draw: Draw) -> Conversation:
    """Find the sum in a little story about things."""
    a, b, more = draw.rng.randint(1, 60), draw.rng.randint(1, 39), draw.chance(0.5)
    if not more and b > a:
        a, b = b, a
    things = draw.word("plural")
    question = draw.ask("more things" if more else "fewer things", a=a, b=b, t=things, n=draw.name())
    op, result = ("+", a + b) if more else ("-", a - b)
    return draw.chat(
        question, f"{a} {op} {b} = {result}, so the answer is {result} {things}.", str(result), noise=False
    )


def compare(draw: Draw) -> Conversation:
    """Name the bigger or smaller of two numbers."""
    a, b = draw.rng.sample(range(100), 2)
    big = draw.chance(0.5)
    word = draw.one(("bigger", "larger", "greater") if big else ("smaller", "less"))
    x, y = (max(a, b), min(a, b)) if big else (min(a, b), max(a, b))
    return draw.chat(draw.ask("compare", w=word, a=a, b=b), f"{x} is {word} than {y}.", str(x))


def count(draw: Draw) -> Conversation:
    """Count up or down, in the form that was asked for."""
    r = draw.rng
    a, b = (1, r.randint(2, 20)) if r.random() < 0.6 else sorted(r.sample(range(31), 2))
    b = min(b, a + 19)
    separator = r.choices([", ", ",", " ", "\n"], (9, 1, 1, 1))[0]
    how = {
        ", ": "",
        ",": draw.one([", with a comma between each number and no spaces", ", separated by commas without spaces"]),
        " ": draw.one([", separated by spaces", " with spaces"]),
        "\n": draw.one([", one number per line", ", each on a new line"]),
    }[separator]
    numbers = [str(n) for n in range(a, b + 1)]
    if separator == ", " and draw.chance(0.15):
        question, numbers = draw.ask("count down", a=a, b=b), numbers[::-1]
    elif a == 1:
        question = draw.ask("count", b=NUMBER_WORDS[b] if draw.chance(0.1) else b)
    else:
        question = draw.ask("count from", a=a, b=b)
    return draw.chat(question + how + ("?" if question.startswith("Can") else "."), separator.join(numbers))
