"""Bytes over HTTP: one question to a server, its answer as JSON objects, its troubles in our words. Knows no engine.

A server is a stranger's program: what it says is bounded in size and time, and is never shown unfiltered.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from llamachat.errors import ConfigError, EngineError
from llamachat.visible import visible

CONNECT = 5.0  # seconds to be let in; who listens answers at once
LONGEST = 2**22  # bytes of one event, or of a plain answer: 1 MiB holds the ids of a prompt of 131,072
SHOWN = 300  # characters of a server's own words in an error
GIVEN_UP = "Start it again, or choose a model of your own with -m and without --remote."


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is: ``url`` without a path behind it, the ``key`` that it asks for, and how many seconds of
    silence it is allowed (the first id of a long prompt may take minutes on a slow machine)."""

    url: str
    key: str | None = None
    patience: float = 300.0

    @classmethod
    def read(cls, url: str, key: str | None = None, patience: float = 300.0) -> "Address":
        """As the user writes it: ``localhost:8000``, or with scheme, or with /v1 behind. Raises ConfigError."""
        try:
            parsed = httpx.URL(url if "://" in url else f"http://{url}")
        except httpx.InvalidURL as error:
            raise ConfigError(f"{url!r} is no address of a server.", "Give one like http://localhost:8000.") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ConfigError(f"{url!r} is no address of a server.", "Give one like http://localhost:8000.")
        if parsed.userinfo:
            raise ConfigError("The server's address holds a password.", "Put its key into remote.key_variable.")
        path = parsed.path.rstrip("/").removesuffix("/v1")
        return cls(f"{parsed.scheme}://{parsed.netloc.decode()}{path}", key, patience)

    @property
    def headers(self) -> dict[str, str]:
        """For every question. Nothing packed: a bomb in a small answer stays small."""
        key = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return {"Accept-Encoding": "identity", **key}

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON that ``path`` answers with; None where the server has no such path. Blocks. Raises EngineError."""
        with (
            self._translated(),
            httpx.Client(**self._options(self.patience)) as client,
            client.stream("POST" if body else "GET", self.url + path, json=body, headers=self.headers) as response,
        ):
            if response.status_code in (404, 405, 501):
                return None
            data = b""
            for part in response.iter_bytes():
                data += part
                self._bound(data)
        if response.status_code != 200:
            raise self.refused(response.status_code, data)
        return self._json(data)

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        """The events (SSE) of an answer, as JSON, each within ``patience``. Closing it hangs up, which ends the work
        there, too. Raises EngineError."""
        with self._translated():
            async with (
                httpx.AsyncClient(**self._options(None)) as client,
                aclosing(self._read(client, path, body)) as read,
            ):
                while True:
                    async with asyncio.timeout(self.patience):  # not across a yield: another task may go on from there
                        event = await anext(read, None)
                    if event is None:
                        return
                    yield event

    def _options(self, silence: float | None) -> dict[str, Any]:
        """Of both clients. Where nothing is encrypted there is no certificate to check, and 20 ms are saved."""
        timeout = httpx.Timeout(silence, connect=CONNECT)
        return {"trust_env": False, "timeout": timeout, "verify": self.url.startswith("https")}

    async def _read(self, client: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        """Each ``data:`` line, up to [DONE] or the end; what else a stream may hold keeps nobody waiting."""
        buffer = b""
        async with client.stream("POST", self.url + path, json=body, headers=self.headers) as response:
            if response.status_code != 200:
                raise self.refused(response.status_code, await self._words(response))
            async for part in response.aiter_bytes():
                *lines, buffer = (buffer + part).split(b"\n")
                self._bound(buffer)
                for line in lines:
                    kind, _, said = line.strip().partition(b":")
                    if kind not in (b"data", b"error"):
                        continue
                    if said.strip() == b"[DONE]":
                        return
                    event = self._json(said)
                    if kind == b"error" or (isinstance(event, dict) and event.get("error")):
                        raise self.refused(500, said)
                    yield event

    async def _words(self, response: httpx.Response) -> bytes:
        data = b""
        async for part in response.aiter_bytes():
            data += part
            if len(data) > 2**16:
                break
        return data

    def _bound(self, data: bytes) -> None:
        if len(data) > LONGEST:
            raise self.strange("it said more at once than any engine does")

    def _json(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self.strange("it answered in something else than JSON") from error

    def strange(self, what: str) -> EngineError:
        """A server that does not keep to what its kind does."""
        return EngineError(f"The server at {self.url} is no engine that we understand: {what}.", GIVEN_UP)

    def gone(self) -> EngineError:
        """A server that ended, or was ended, before its answer did."""
        return EngineError(f"The server at {self.url} hung up in the middle of its answer.", GIVEN_UP)

    def refused(self, status: int, body: bytes) -> EngineError:
        """What a server says in place of an answer."""
        reason = visible(" ".join(_reason(body).split()))[:SHOWN] or f"HTTP status {status}"
        if status in (401, 403):
            hint = "Put its key into an environment variable, and that one's name into remote.key_variable."
        elif status == 503:
            hint = "It may still be loading its model; try again in a moment."
        else:
            hint = "Its own log says more."
        return EngineError(f"The server at {self.url} refused: {reason.removesuffix('.')}.", hint)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of httpx in our words."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            hint = "Start the server, or give another address: --remote URL."
            raise EngineError(f"Nobody answers at {self.url}.", hint) from error
        except (TimeoutError, httpx.TimeoutException) as error:
            hint = "It may be busy with others or have died; remote.patience is how many seconds it is given."
            raise EngineError(f"The server at {self.url} was silent for {self.patience:g} seconds.", hint) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise self.gone() from error


def _reason(body: bytes) -> str:
    """The sentence in an error's body, wherever its kind of server puts it."""
    text = body.decode("utf-8", errors="replace")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return "" if text.lstrip().startswith("<") else text
    for key in ("error", "message", "detail"):
        if isinstance(said, dict) and said.get(key):
            said = said[key]
    return said if isinstance(said, str) else ""
