"""Nouns that both the organisation and each of its projects have: which of them a route is about."""

from __future__ import annotations

from collections.abc import Callable


def scope_of(*, in_project: bool) -> Callable[..., str]:
    """Make the dependency that answers a route's project id; in the organisation it is empty."""
    return _in_project if in_project else _in_organization


def _in_project(project_id: str) -> str:
    return project_id


def _in_organization() -> str:
    return ""
