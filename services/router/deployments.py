"""How many pods a Deployment has: its subresource `scale`, read and changed.

The client blocks, so each call is made in a thread, and bounded.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from services.router.cluster import namespace_of
from services.router.settings import Settings
from services.router.sleep import Scale

CALL_S = (2.0, 5.0)
"""Longest wait for a connection, and for an answer, seconds."""

OK, CONFLICT = 200, 409
MERGE_PATCH = "application/merge-patch+json"


class ScaleError(Exception):
    """The API server did not answer, or not as was asked; the text says why."""


class ScaleConflictError(ScaleError):
    """Somebody else changed it first."""


class Deployments:
    """The Deployments of one namespace."""

    def __init__(self, client: Any, namespace: str) -> None:
        """`client`: a `kubernetes.client.ApiClient`.

        Its classes for API groups bring every model of the group along, a pod's among them, for two numbers here.
        """
        self._client = client
        self._namespace = namespace

    async def scale(self, name: str) -> Scale:
        """Read how many pods it shall have and has. Raises `ScaleError`."""
        found = await self._call("GET", name)
        try:
            version = found["metadata"]["resourceVersion"]
            # A zero is left out on the wire.
            return Scale(found["spec"].get("replicas", 0), found["status"].get("replicas", 0), version)
        except (KeyError, TypeError, AttributeError):
            raise ScaleError("the API server answered with something that is no scale") from None

    async def set_count(self, name: str, count: int, version: str) -> None:
        """Change how many pods it shall have, if it still is as in `version`. Raises `ScaleError`."""
        await self._call("PATCH", name, {"metadata": {"resourceVersion": version}, "spec": {"replicas": count}})

    async def _call(self, method: str, name: str, body: Any = None) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            status, answer = await asyncio.to_thread(self._ask, method, name, body)
            if status == CONFLICT:
                raise ScaleConflictError("somebody else changed it")
            if status != OK:
                raise ScaleError(f"the API server answered with {status}")
            return json.loads(answer)
        except (ApiException, HTTPError, OSError, ValueError) as error:
            raise ScaleError(f"{type(error).__name__}: {error}".partition("\n")[0][:200]) from None

    def _ask(self, method: str, name: str, body: Any) -> tuple[int, bytes]:
        request = self._client.param_serialize(
            method,
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
            path_params={"namespace": self._namespace, "name": name},
            header_params={"Accept": "application/json"} | ({"Content-Type": MERGE_PATCH} if body else {}),
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = self._client.call_api(*request, _request_timeout=CALL_S)
        return answer.status, answer.read()


def in_cluster(settings: Settings) -> Deployments:
    """Make the client that the settings ask for, with the pod's own service account.

    Raises `ValueError` when there is none, `ImportError` when the Kubernetes client is not installed.
    """
    from kubernetes import client

    namespace = namespace_of(settings)
    return Deployments(client.ApiClient(), namespace)
