"""Reads `values.yaml` with its comments, which YAML parsers throw away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

KEY = re.compile(r"^( *)([A-Za-z0-9_./-]+):(.*)$")


@dataclass
class Value:
    """A documented key."""

    path: tuple[str, ...]
    default: Any
    description: str
    directives: dict[str, list[str]] = field(default_factory=dict)


class UndocumentedError(Exception):
    """A key has no comment; the text names it."""


def read(file: Path) -> list[Value]:
    """Answer the documented keys of a values file in their order. Raises `UndocumentedError`."""
    text = file.read_text(encoding="utf-8")
    tree = yaml.safe_load(text) or {}
    found = {path: (description, directives) for path, description, directives in _comments(text)}
    return [_value(path, default, found, file) for path, default in _leaves(tree, (), found)]


def _value(
    path: tuple[str, ...], default: Any, found: dict[tuple[str, ...], tuple[str, dict[str, list[str]]]], file: Path
) -> Value:
    if path not in found:
        raise UndocumentedError(f"{file}: {'.'.join(path)} has no comment")
    description, directives = found[path]
    return Value(path, default, description, directives)


def _leaves(
    tree: dict[str, Any], above: tuple[str, ...], found: dict[tuple[str, ...], Any]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A documented key, or one that holds no others, is a leaf."""
    for key, value in tree.items():
        path = (*above, key)
        if path in found or not isinstance(value, dict) or not value:
            yield path, value
        else:
            yield from _leaves(value, path, found)


def _comments(text: str) -> Iterator[tuple[tuple[str, ...], str, dict[str, list[str]]]]:
    words: list[str] = []
    directives: dict[str, list[str]] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith("# @"):
            name, *rest = bare.removeprefix("# @").split()
            directives[name] = rest
        elif bare.startswith("# -- "):
            words = [bare.removeprefix("# -- ")]
        elif bare.startswith("#") and words:
            words.append(bare.removeprefix("#").strip())
        elif match := KEY.match(line):
            indent = len(match[1])
            while above and above[-1][0] >= indent:
                above.pop()
            above.append((indent, match[2]))
            if words:
                yield tuple(name for _, name in above), " ".join(words), directives
            words, directives = [], {}
        else:
            words, directives = [], {}
