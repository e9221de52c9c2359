"""What `capstan up` prints must work as printed."""

import ast
import json
import shlex
from pathlib import Path

import pytest

from tools.cli.greeting import Greeting


def greeting(key: str = "sk-proj-abc") -> Greeting:
    kept, admin = Path("/d/secrets/first_api_key"), "http://127.0.0.1:8900/v1"
    return Greeting("http://127.0.0.1:8000/v1", key, kept, "capstan-demo", admin, "capstan", 12.3)


def snippet(text: str) -> str:
    lines = text.splitlines()
    first = lines.index("from openai import OpenAI")
    return "\n".join(lines[first : first + 5])


def curl(text: str) -> list[str]:
    return shlex.split(next(line for line in text.splitlines() if line.startswith("curl ")))


def test_a_new_key_is_shown_and_where_it_is_kept() -> None:
    text = greeting().text()
    assert "sk-proj-abc" in text
    assert "shown once" in text
    assert "/d/secrets/first_api_key" in text


def test_a_key_that_was_shown_before_is_only_pointed_at() -> None:
    text = greeting("").text()
    assert "shown once" not in text
    assert "`capstan key` prints it" in text


@pytest.mark.parametrize("key", ["sk-proj-abc", ""])
def test_the_snippet_is_five_lines_of_python(key: str) -> None:
    code = snippet(greeting(key).text())
    assert len(code.splitlines()) == 5
    assert len(ast.parse(code).body) == 5


def test_the_snippet_reads_a_key_that_is_not_shown() -> None:
    assert 'open("/d/secrets/first_api_key").read().strip()' in snippet(greeting("").text())


@pytest.mark.parametrize("key", ["sk-proj-abc", ""])
def test_the_curl_line_is_one_command_with_a_json_body(key: str) -> None:
    words = curl(greeting(key).text())
    assert words[1] == "http://127.0.0.1:8000/v1/chat/completions"
    body = json.loads(words[words.index("-d") + 1])
    assert body["model"] == "capstan-demo"
    assert body["messages"][0]["role"] == "user"


def test_it_says_how_long_it_took() -> None:
    assert "after 12 s" in greeting().text()


def test_the_address_of_the_admin_api_is_one_line() -> None:
    lines = [line for line in greeting().text().splitlines() if "http://127.0.0.1:8900/v1" in line]
    assert len(lines) == 1
    assert "Admin API" in lines[0]
