"""What the tests of call finders share: reading a text in pieces, and texts that are nearly calls."""

from __future__ import annotations

from hypothesis import strategies as st

from services.inference.tool_calls import CallFinder

NAMES = frozenset({"get_weather", "send_email"})

Call = tuple[str, str]


def read(finder: type[CallFinder], pieces: list[str], *, limit: int | None = None) -> tuple[str, list[Call]]:
    """All text and all calls, put together from the parts."""
    made = finder(NAMES, limit=limit)
    text: list[str] = []
    calls: dict[int, Call] = {}
    for found in [*map(made.feed, pieces), made.rest()]:
        text.append(found.text)
        for part in found.parts:
            assert bool(part.name) == (part.call not in calls), "the name comes once, first"
            name, arguments = calls.get(part.call, (part.name, ""))
            calls[part.call] = name, arguments + part.arguments
    assert list(calls) == list(range(len(calls)))
    return "".join(text), list(calls.values())


PIECES = st.one_of(
    st.sampled_from(
        [
            *("<tool_call>", "</tool_call>", "<", "<tool", "_call>", "<|python_tag|>", "<|python", "<|python_start|>"),
            *(
                "[TOOL_CALLS]",
                "[TOOL",
                "[ARGS]",
                "[CALL_ID]ab1",
                "[",
                "]",
                "(",
                ")",
                "{",
                "}",
                '"',
                "\\",
                ";",
                ",",
                "\n",
            ),
            *("get_weather", "send_email", "rm_rf", '{"name": "get_weather", "parameters": ', '"type":"function",'),
            *('{"name": "get_weather", "arguments": {"a": "b"}}', '{"arguments": {}, "name": "send_email"}'),
            *(
                '[get_weather(city="Paris", n=[1, 2.5])',
                "send_email(**",
                "a='x\\u00e9\\n'",
                "b={'k': None}",
                "1e3",
                "True",
            ),
            *("=", " ", "  \n", "hello", "é🙂", "<|python_end|>"),
        ]
    ),
    st.text(max_size=6),
)
TEXTS = st.lists(PIECES, max_size=10).map("".join)


def pieces_of(text: str, data: st.DataObject) -> list[str]:
    """`text`, cut somewhere."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
