"""What there is to be permitted, and what predefined roles permit.

A permission is a word such as `api.groups.read`. Those of the administration are listed here; every other word of that
form is a scope of project keys, such as `model.request`, whose meaning is the gateway's. Pure data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ALL = "*"
"""Stands for everything; in the scopes of a key: everything that its owner may do."""

_ORGANIZATION_NOUNS = ("admin_api_keys", "audit_logs", "groups", "invites", "organization", "roles", "usage", "users")
_PROJECT_NOUNS = (
    "api_keys",
    "model_permissions",
    "project_groups",
    "project_roles",
    "project_users",
    "projects",
    "rate_limits",
    "service_accounts",
    "spending",
)
PROJECT_READS = frozenset(f"api.{noun}.read" for noun in _PROJECT_NOUNS)
ADMINISTRATIVE = frozenset(
    f"api.{noun}.{verb}" for noun in (*_ORGANIZATION_NOUNS, *_PROJECT_NOUNS) for verb in ("read", "write")
)
"""All permissions of the administration."""


@dataclass(frozen=True, slots=True)
class Grants:
    """A set of permissions, also of such as nobody has thought of yet."""

    everything: bool = False
    uses: bool = False
    """All that are not administrative: a project can be used with any key."""
    reads: bool = False
    """All administrative ones that change nothing."""
    names: frozenset[str] = frozenset()

    def __or__(self, other: Grants) -> Grants:
        return Grants(
            self.everything or other.everything,
            self.uses or other.uses,
            self.reads or other.reads,
            self.names | other.names,
        )

    def cover(self, permission: str) -> bool:
        """Say whether the permission is among them."""
        if self.everything or permission in self.names:
            return True
        if permission in ADMINISTRATIVE:
            return self.reads and permission.endswith(".read")
        return self.uses

    def include(self, other: Grants) -> bool:
        """Say whether all of `other` are among them."""
        if self.everything:
            return True
        if other.everything or (other.uses and not self.uses):
            return False
        reads = {name for name in ADMINISTRATIVE if name.endswith(".read")} if other.reads else set()
        return all(map(self.cover, other.names | reads))

    def narrowed(self, scopes: tuple[str, ...]) -> Grants:
        """Answer those that a key with these scopes has of them."""
        return self if ALL in scopes else Grants(names=frozenset(filter(self.cover, scopes)))

    def scopes_of(self, scopes: tuple[str, ...]) -> tuple[str, ...]:
        """Answer what remains of the scopes of a project key whose owner has these."""
        if self.everything or self.uses:
            return scopes
        if ALL in scopes:
            return tuple(sorted(self.names - ADMINISTRATIVE))
        return tuple(filter(self.cover, scopes))

    @property
    def usable(self) -> bool:
        """Whether they let a project be used at all."""
        return self.everything or self.uses or bool(self.names - ADMINISTRATIVE)


NOTHING = Grants()

PREDEFINED: Mapping[str, Grants] = MappingProxyType(
    {
        "role-organization-owner": Grants(everything=True),
        "role-organization-reader": Grants(reads=True),
        "role-project-owner": Grants(everything=True),
        "role-project-member": Grants(uses=True, names=PROJECT_READS),
    }
)
"""What the predefined roles permit: in the organisation and all its projects, or in one project."""


def expanded(words: tuple[str, ...]) -> Grants:
    """Answer what words of the view `auth.grants` permit: predefined roles' ids, and permissions."""
    total = Grants(names=frozenset(word for word in words if not word.startswith("role-")))
    for word in words:
        total |= PREDEFINED.get(word, NOTHING)
    return total
