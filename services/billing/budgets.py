"""What may be spent: the values that limits, credit and alerts are made of, and which of them bind a request."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

CREDIT_PERIOD = "credit"
"""The period of what is paid in advance: all time."""

MOST_NANOUSD = 9 * 10**15
"""Of a limit or a grant: 9 million USD, and exact in the doubles of the script that enforces it."""

DEFAULT_EXPOSURE_NANOUSD = 5 * 10**9
"""What a gateway may serve an organisation on trust while money cannot be checked."""


class Kind(enum.Enum):
    """What a budget limits."""

    CREDIT = enum.auto()
    ORGANIZATION = enum.auto()
    PROJECT = enum.auto()


@dataclass(frozen=True, slots=True)
class Budget:
    """Money that may be spent in a period, and what was."""

    subject_id: str
    kind: Kind
    period_id: str
    cap_nanousd: int
    posted_nanousd: int
    soft: bool


@dataclass(frozen=True, slots=True)
class Limit:
    """What may be spent in a month; None: as much as one likes."""

    hard_nanousd: int | None = None
    soft_nanousd: int | None = None

    @property
    def is_none(self) -> bool:
        """Whether it limits nothing."""
        return self.hard_nanousd is None and self.soft_nanousd is None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an organisation and one of its projects when somebody asks what binds the project."""

    organization_id: str
    project_id: str
    organization: Limit
    project: Limit
    organization_posted: int
    """This month."""
    project_posted: int
    prepaid: bool
    granted: int
    used: int
    """Ever, corrections included."""
    forgiven: int
    """What corrections took back."""
    max_exposure_nanousd: int
    recovered: tuple[tuple[str, int], ...] = ()
    """The project's requests that were lately settled for a dead gateway, and their tokens."""

    def budgets(self, period: str) -> Iterator[Budget]:
        """Yield what binds the project's requests in `period`."""
        if self.prepaid:
            # A meter only ever rises, so what was taken back adds to what there is.
            there_is, used = self.granted + self.forgiven, self.used + self.forgiven
            yield Budget(self.organization_id, Kind.CREDIT, CREDIT_PERIOD, there_is, used, soft=False)
        for subject, kind, limit, posted in (
            (self.organization_id, Kind.ORGANIZATION, self.organization, self.organization_posted),
            (self.project_id, Kind.PROJECT, self.project, self.project_posted),
        ):
            if limit.hard_nanousd is not None:
                yield Budget(subject, kind, period, limit.hard_nanousd, posted, soft=False)
            elif limit.soft_nanousd is not None:
                yield Budget(subject, kind, period, limit.soft_nanousd, posted, soft=True)


@dataclass(frozen=True, slots=True)
class Alert:
    """Who shall be told when a month's spending reaches a threshold."""

    alert_id: str
    organization_id: str
    project_id: str
    """Empty: the whole organisation."""
    threshold_nanousd: int
    recipients: tuple[str, ...]
    subject_prefix: str
    create_time: datetime


def month_of(time: datetime) -> datetime:
    """Answer when the month began that an aware `time` is in, UTC."""
    return time.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def period_of(time: datetime) -> str:
    """Answer the month that an aware `time` is in, UTC."""
    return f"{time.year:04}-{time.month:02}"
