"""The methods of AdminService by their names, each behind the desk."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any, cast

from capstan.auth.v1 import admin_pb2, admin_pb2_grpc
from services.auth.admin import (
    accounts,
    admin_keys,
    assignments,
    audit_logs,
    groups,
    invites,
    members,
    organizations,
    project_groups,
    project_keys,
    projects,
    rate_limits,
    roles,
    spending,
    users,
)
from services.auth.admin.desk import Desk

NOUNS: tuple[ModuleType, ...] = (
    accounts,
    admin_keys,
    assignments,
    audit_logs,
    groups,
    invites,
    members,
    organizations,
    project_groups,
    project_keys,
    projects,
    rate_limits,
    roles,
    spending,
    users,
)

METHODS: tuple[str, ...] = tuple(admin_pb2.DESCRIPTOR.services_by_name["AdminService"].methods_by_name)


def function_of(method: str) -> Callable[..., Awaitable[Any]]:
    """Find the function of a method: `ListProjects` is `list_projects` of the one module that has it."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower()
    [found] = [getattr(noun, name) for noun in NOUNS if getattr(noun, name, None) is not None]
    return cast("Callable[..., Awaitable[Any]]", found)


def admin_servicer(desk: Desk) -> admin_pb2_grpc.AdminServiceServicer:
    """Make the servicer: every method of the proto, so that none can be reached without the desk."""

    def answer(method: str) -> Callable[..., Awaitable[Any]]:
        function = function_of(method)

        async def answered(_self: object, request: Any, context: object) -> Any:
            async with desk.open(method, request) as call:
                return await function(call, request)

        return answered

    made = type("AdminServicer", (admin_pb2_grpc.AdminServiceServicer,), {name: answer(name) for name in METHODS})
    return cast("admin_pb2_grpc.AdminServiceServicer", made())
