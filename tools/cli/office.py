"""The admin API from the command line: where it is, which key opens it, and one call at a time.

`CAPSTAN_ADMIN_URL` and `CAPSTAN_ADMIN_KEY` name an installation anywhere; without them it is the one on this machine,
and with the key alone another organisation on it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tools.cli import place
from tools.local import launch
from tools.local.plan import ADMIN_HOST
from tools.local.problem import Problem

Json = dict[str, Any]

TIMEOUT_S = 30.0
LONGEST_PAGE = 100
MOST_PAGES = 1000
URL, KEY = "CAPSTAN_ADMIN_URL", "CAPSTAN_ADMIN_KEY"


class Office:
    """An admin API and a key for it."""

    def __init__(self, url: str, key: str) -> None:
        self._url = urlsplit(url)
        self._key = key
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise Problem(f"{url} is no address of an admin API: it begins with http:// or https:// and ends with /v1.")

    def get(self, path: str, **query: Any) -> Json:
        """Answer an object. Raises `Problem`."""
        return self._call("GET", path, None, query)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """Make or change an object. Raises `Problem`."""
        return self._call("POST", path, body, {})

    def delete(self, path: str) -> Json:
        """Take an object away. Raises `Problem`."""
        return self._call("DELETE", path, None, {})

    def every(self, path: str, **query: Any) -> Iterator[Json]:
        """Yield all objects of a list, page by page. Raises `Problem`."""
        after = ""
        for _ in range(MOST_PAGES):
            page = self.get(path, limit=LONGEST_PAGE, **({"after": after} if after else {}), **query)
            yield from page["data"]
            if not page["has_more"] or not page["data"]:
                return
            after = page["last_id"]

    def document(self, path: str, **query: Any) -> str:
        """Answer a text that is no object. Raises `Problem`."""
        status, said = self._asked("GET", path, None, query)
        if status >= 400:
            _judged(status, said, self._url.geturl())
        return said.decode("utf-8", "replace")

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, Any]) -> Json:
        status, said = self._asked(method, path, body, query)
        return _judged(status, said, self._url.geturl())

    def _asked(
        self, method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, Any]
    ) -> tuple[int, bytes]:
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=TIMEOUT_S)
        target = f"{self._url.path.rstrip('/')}/{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        with contextlib.closing(connection):
            try:
                connection.request(method, target, None if body is None else json.dumps(body), headers)
                response = connection.getresponse()
                return response.status, response.read()
            except (OSError, http.client.HTTPException) as error:
                raise Problem(f"Nobody answers at {self._url.geturl()}: {error or type(error).__name__}.") from error


def _judged(status: int, said: bytes, url: str) -> Json:
    try:
        answer = json.loads(said)
        if status < 400 and isinstance(answer, dict):
            return answer
        message = answer["error"]["message"]
    except (ValueError, KeyError, TypeError):
        raise Problem(f"What answers at {url} is no admin API (HTTP {status}).") from None
    raise Problem(str(message))


def office(data_dir: Path | None) -> Office:
    """Find the admin API: as the environment says, or on this machine.

    Raises:
        Problem: nothing runs here, or its key is not kept here.
    """
    url, key = os.environ.get(URL), os.environ.get(KEY)
    if url and not key:
        raise Problem(f"{URL} is set and {KEY} is not: the key of this machine is for this machine.")
    if url and key:
        return Office(url, key)
    folder = place.data_folder(data_dir)
    told = launch.running(folder)
    port = told.plan.get("admin_port") if told else None
    if not port:
        raise Problem(
            f"Nothing runs in {folder.root}: start it with `{place.typed_command()} up`, or name another "
            f"installation with {URL} and {KEY}."
        )
    if not key:
        try:
            key = folder.admin_key.read_text().strip()
        except OSError as error:
            raise Problem(f"There is no admin key in {folder.admin_key}: set {KEY}.") from error
    return Office(f"http://{ADMIN_HOST}:{port}/v1", key)


def segment(text: str) -> str:
    """Write an id or a name as a part of a path."""
    return quote(text, safe="")


def chosen_project(there: Office, given: str | None) -> Json:
    """Find a project by its id or its name; without either the only active one.

    Raises:
        Problem: there is none, or more than one.
    """
    if given and given.startswith("proj_"):
        return there.get(f"organization/projects/{segment(given)}")
    active = list(there.every("organization/projects"))
    found = [project for project in active if given is None or project["name"] == given]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{project['name']} ({project['id']})" for project in active[:10])
    if given is None:
        raise Problem(f"Say which project with --project: {names or 'there is none'}.")
    if found:
        raise Problem(f"{len(found)} projects are called {given!r}: say which by its id.")
    raise Problem(f"No active project is called {given!r}. There are: {names or 'none'}.")
