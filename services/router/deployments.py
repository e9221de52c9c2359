"""How many pods a Deployment has: its subresource `scale`, read and changed.

The client blocks, so each call is made in a thread, and bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from services.router.cluster import namespace_of
from services.router.settings import Settings
from services.router.sleep import Scale

CALL_S = (2.0, 5.0)
"""Longest wait for a connection, and for an answer, seconds."""

CONFLICT = 409
MERGE_PATCH = "application/merge-patch+json"


class ScaleError(Exception):
    """The API server did not answer, or not as was asked; the text says why."""


class ScaleConflictError(ScaleError):
    """Somebody else changed it first."""


class Deployments:
    """The Deployments of one namespace."""

    def __init__(self, api: Any, namespace: str) -> None:
        """`api`: a `kubernetes.client.AppsV1Api`."""
        self._api = api
        self._namespace = namespace

    async def scale(self, name: str) -> Scale:
        """Read how many pods it shall have and has. Raises `ScaleError`."""
        read = self._api.read_namespaced_deployment_scale
        found = await _call(lambda: read(name, self._namespace, _request_timeout=CALL_S))
        # A zero is left out on the wire.
        counts = (found.spec.replicas if found.spec else 0, found.status.replicas if found.status else 0)
        return Scale(counts[0] or 0, counts[1] or 0, found.metadata.resource_version)

    async def set_count(self, name: str, count: int, version: str) -> None:
        """Change how many pods it shall have, if it still is as in `version`. Raises `ScaleError`."""
        patch = self._api.patch_namespaced_deployment_scale
        body = {"metadata": {"resourceVersion": version}, "spec": {"replicas": count}}
        await _call(lambda: patch(name, self._namespace, body, _request_timeout=CALL_S, _content_type=MERGE_PATCH))


async def _call(ask: Callable[[], Any]) -> Any:
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        return await asyncio.to_thread(ask)
    except ApiException as error:
        if error.status == CONFLICT:
            raise ScaleConflictError("somebody else changed it") from None
        raise ScaleError(f"{error.status} {error.reason}") from None
    except (HTTPError, OSError, ValueError) as error:
        raise ScaleError(f"{type(error).__name__}: {error}".partition("\n")[0][:200]) from None


def in_cluster(settings: Settings) -> Deployments:
    """Make the client that the settings ask for, with the pod's own service account.

    Raises `ValueError` when there is none, `ImportError` when the Kubernetes client is not installed.
    """
    from kubernetes import client

    namespace = namespace_of(settings)
    return Deployments(client.AppsV1Api(), namespace)
