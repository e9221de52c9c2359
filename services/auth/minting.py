"""Makes keys: the only place where a key exists in the clear, on its way to whoever asked for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chassis import keys
from chassis.ids import Ids
from chassis.postgres import Connection
from services.auth.limits import COLUMNS, Table
from services.auth.peppers import Pepper
from services.auth.permissions import ALL
from services.auth.principals import Kind

_KINDS: dict[Kind, keys.Kind] = {"user": "proj", "service_account": "svcacct", "admin": "admin"}
_LIMIT_COLUMNS = tuple(name for name in COLUMNS if name != "batch_day_max_input_tokens")

_INSERT = """
INSERT INTO auth.keys (organization_id, key_id, project_id, owner_id, kind, name, hmac, pepper_id, redacted, scopes,
                       allowed_models, allowed_ips, operator, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""
_DROP_LIMITS = "DELETE FROM auth.key_rate_limits WHERE organization_id = $1 AND key_id = $2"
_INSERT_LIMIT = (
    f"INSERT INTO auth.key_rate_limits (organization_id, key_id, model, {', '.join(_LIMIT_COLUMNS)})"  # noqa: S608 - names of columns
    f" VALUES ($1, $2, $3, {', '.join(f'${place}' for place in range(4, 4 + len(_LIMIT_COLUMNS)))})"
)


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What a key may do less than its owner."""

    scopes: tuple[str, ...] = (ALL,)
    allowed_models: tuple[str, ...] = ()
    allowed_ips: tuple[str, ...] = ()
    expires_at: datetime | None = None
    limits: Table = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be made. `project_id` is None for an admin key."""

    kind: Kind
    organization_id: str
    project_id: str | None
    owner_id: str
    name: str
    restrictions: Restrictions = field(default_factory=Restrictions)
    operator: bool = False


@dataclass(frozen=True, slots=True)
class Minted:
    """A key that was made. `key` is here and nowhere else."""

    id: str
    key: str = field(repr=False)


class Mint:
    """Makes keys and keeps what may be kept of them."""

    def __init__(self, ids: Ids, entropy: Callable[[int], bytes], peppers: Sequence[Pepper]) -> None:
        self._ids = ids
        self._entropy = entropy
        self._pepper = peppers[0]

    async def make(self, connection: Connection, new: NewKey) -> Minted:
        """Make a key in the caller's transaction, which has entered its organisation."""
        key = keys.mint(_KINDS[new.kind], self._entropy)
        made = Minted(self._ids.new("key_"), key)
        restrictions = new.restrictions
        await connection.execute(
            _INSERT,
            new.organization_id,
            made.id,
            new.project_id,
            new.owner_id,
            new.kind,
            new.name,
            self._pepper.stored(keys.digest(key)),
            self._pepper.id,
            keys.redact(key),
            list(restrictions.scopes),
            list(restrictions.allowed_models),
            list(restrictions.allowed_ips),
            new.operator,
            restrictions.expires_at,
        )
        await write_limits(connection, new.organization_id, made.id, restrictions.limits)
        return made


async def write_limits(connection: Connection, organization_id: str, key_id: str, limits: Table) -> None:
    """Replace the limits of a key."""
    await connection.execute(_DROP_LIMITS, organization_id, key_id)
    for model, limit in limits.items():
        values = (getattr(limit, name) for name in _LIMIT_COLUMNS)
        await connection.execute(_INSERT_LIMIT, organization_id, key_id, model, *values)
