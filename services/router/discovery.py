"""Replicas as Kubernetes knows them: the ready endpoints of the EndpointSlices that a label selector names.

It lists, then watches from there, in a thread, because the client
blocks. While the API server is away, what was known last stays: a control plane that is down must not take the replicas
with it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from services.router.cluster import namespace_of
from services.router.settings import Settings

WATCH_S = 300
"""How long one watch lasts; then it is asked for again, from where it was."""

CALL_S = (5.0, 30.0)
"""Longest wait for a connection, and for an answer to a list, seconds."""

GONE = 410
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0


def places(slices: Iterable[Mapping[str, Any]], port_name: str) -> dict[str, str]:
    """Read EndpointSlices (discovery.k8s.io/v1, as JSON): pod's name to `address:port` of each ready endpoint.

    An endpoint without a pod goes by its address. `port_name` "" takes a slice's first port.
    """
    found: dict[str, str] = {}
    for each in slices:
        ports = [port["port"] for port in each.get("ports") or () if port_name in ("", port.get("name"))]
        if not ports:
            continue
        for endpoint in each.get("endpoints") or ():
            # Unset stands for true (EndpointConditions).
            if (endpoint.get("conditions") or {}).get("ready") is False or not endpoint.get("addresses"):
                continue
            host = endpoint["addresses"][0]
            name = (endpoint.get("targetRef") or {}).get("name") or host
            found[name] = f"[{host}]:{ports[0]}" if ":" in host else f"{host}:{ports[0]}"
    return found


class Slices:
    """The EndpointSlices of the moment, by name, as a watch tells of them."""

    def __init__(self, listed: Iterable[Mapping[str, Any]] = ()) -> None:
        self._known = {each["metadata"]["name"]: each for each in listed}

    def take(self, kind: str, told: Mapping[str, Any]) -> None:
        """Take one event: ADDED, MODIFIED or DELETED; others change nothing."""
        name = told["metadata"]["name"]
        if kind == "DELETED":
            self._known.pop(name, None)
        elif kind in ("ADDED", "MODIFIED"):
            self._known[name] = told

    def places(self, port_name: str) -> dict[str, str]:
        """Answer where the replicas are."""
        return places(self._known.values(), port_name)


class Discovery:
    """Tells where the replicas are, at once and whenever it changes."""

    def __init__(
        self,
        api: Any,
        *,
        namespace: str,
        selector: str,
        port_name: str,
        tell: Callable[[Mapping[str, str]], None],
        log: logging.Logger,
    ) -> None:
        """`api`: a `kubernetes.client.DiscoveryV1Api`. `tell` is called on the event loop."""
        self._api = api
        self._namespace = namespace
        self._selector = selector
        self._port_name = port_name
        self._tell = tell
        self._log = log
        self._over = threading.Event()
        self._watch: Any = None

    async def run(self) -> None:
        """Watch. Never returns; when it is cancelled the thread ends with its present wait."""
        loop = asyncio.get_running_loop()
        told: dict[str, str] | None = None

        def tell(found: dict[str, str]) -> None:
            nonlocal told
            if found != told and not self._over.is_set():
                told = found
                self._log.info("replicas in the cluster", extra={"count": len(found)})
                self._tell(found)

        def from_thread(found: dict[str, str]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(tell, found)

        ended = loop.create_future()
        thread = threading.Thread(target=self._keep_watching, args=(from_thread,), name="discovery", daemon=True)
        thread.start()
        try:
            await ended
        finally:
            self._over.set()
            if self._watch is not None:
                self._watch.stop()

    def _keep_watching(self, tell: Callable[[dict[str, str]], None]) -> None:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        pause_s = FIRST_PAUSE_S
        while not self._over.is_set():
            try:
                self._list_and_watch(tell)
                pause_s = FIRST_PAUSE_S
            except (ApiException, HTTPError, OSError, ValueError, KeyError) as error:
                if isinstance(error, KeyError) or (isinstance(error, ApiException) and error.status == GONE):
                    continue  # the watch is too old (KeyError: so the client puts it): list again
                self._log.warning("the Kubernetes API does not answer; what was known stays: %s", _brief(error))
                self._over.wait(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _list_and_watch(self, tell: Callable[[dict[str, str]], None]) -> None:
        from kubernetes.watch import Watch

        list_slices = self._api.list_namespaced_endpoint_slice
        # As it came: the client's own models refuse a slice without endpoints, which the API server writes as null.
        answer = list_slices(
            self._namespace, label_selector=self._selector, _preload_content=False, _request_timeout=CALL_S
        )
        listed = json.loads(answer.data)
        slices = Slices(listed.get("items") or ())
        tell(slices.places(self._port_name))
        self._watch = Watch()
        for event in self._watch.stream(
            list_slices,
            self._namespace,
            label_selector=self._selector,
            resource_version=listed["metadata"]["resourceVersion"],
            timeout_seconds=WATCH_S,
            deserialize=False,
            _request_timeout=(CALL_S[0], WATCH_S + CALL_S[1]),
        ):
            slices.take(event["type"], event["object"])
            tell(slices.places(self._port_name))
            if self._over.is_set():
                return


def in_cluster(settings: Settings, tell: Callable[[Mapping[str, str]], None], log: logging.Logger) -> Discovery:
    """Make the discovery that the settings ask for, with the pod's own service account.

    Raises `ValueError` when there is none, `ImportError` when the Kubernetes client is not installed.
    """
    from kubernetes import client

    namespace = namespace_of(settings)
    return Discovery(
        client.DiscoveryV1Api(),
        namespace=namespace,
        selector=settings.endpoint_slices,
        port_name=settings.endpoint_slices_port,
        tell=tell,
        log=log,
    )


def _brief(error: Exception) -> str:
    """The first line: an ApiException's text holds whole bodies."""
    return f"{type(error).__name__}: {error}".partition("\n")[0][:200]
