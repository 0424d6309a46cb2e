"""Functions behind HTTP: a JSON schema and a URL become a tool. Knows no model and runs no code.

The address is the user's own choice, so it may be on this machine. The answer is not trusted: time and size are capped,
redirects are not followed, and nothing but its text is used. Proxies and netrc are not looked at.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from llamachat.errors import ConfigError
from llamachat.paths import variable
from llamachat.tools import Tool, ToolOutput
from llamachat.tools.schemas import read_spec
from llamachat.tools.shorten import printable, shorten

SECONDS = 30.0
MAX_RESULT = 16 << 10  # characters that the model sees
MAX_ERROR = 1 << 10  # the same, of the body of a failure
MAX_BYTES = 1 << 20
METHODS = ("POST", "GET", "PUT", "PATCH", "DELETE")
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a call goes: by GET the arguments are the query, else the body as JSON."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """May hold secrets, so they are never shown."""


def load_endpoints(path: Path, *, timeout: float = SECONDS) -> list[Tool]:
    """The tools of a JSON file: a list of ``{"name", "description", "parameters", "endpoint": {"url", "method"?,
    "headers"?}}``, or of OpenAI's ``{"type": "function", "function": {…}, "endpoint": {…}}``.

    ``${NAME}`` and ``${NAME:-default}`` in URL and headers are environment variables. Raises ConfigError, with the
    place, if anything in the file is wrong.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}.", "Check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}.", "Mend the file.") from error
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"{path} must be a list of functions.", "Write [{…}, {…}].")
    tools = []
    for number, entry in enumerate(entries, 1):
        try:
            tools.append(_tool(entry, str(path), timeout))
        except ConfigError as error:
            raise ConfigError(f"{path}, function {number}: {error.message}", error.hint) from error
    return tools


def _tool(entry: Mapping[str, Any], source: str, timeout: float) -> Tool:
    spec = read_spec(entry)
    run = partial(_run, read_endpoint(entry.get("endpoint")), timeout)
    return Tool(spec.name, spec.description, spec.parameters, run, permission="ask", source=source)


def read_endpoint(said: Any) -> Endpoint:
    """``{"url", "method"?, "headers"?}``, checked. Raises ConfigError."""
    shape = 'Write "endpoint": {"url": "https://…", "method": "POST", "headers": {"name": "value"}}.'
    if not isinstance(said, dict) or not isinstance(said.get("url"), str):
        raise ConfigError("It has no endpoint with a URL.", shape)
    if unknown := sorted(set(said) - {"url", "method", "headers"}):
        raise ConfigError(f"Its endpoint has an unknown key {unknown[0]!r}.", shape)
    method, headers = said.get("method", "POST"), said.get("headers", {})
    if method not in METHODS:
        raise ConfigError(f"Its method can't be {method!r}.", f"Use one of {', '.join(METHODS)}.")
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise ConfigError("Its headers must be an object of strings.", shape)
    return Endpoint(
        _url(_expanded(said["url"])), method, {name: _header(name, value) for name, value in headers.items()}
    )


def _url(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ConfigError(f"Its URL is not one: {error}.", "Mend it.") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError("Its URL must begin with http:// or https:// and name a host.", "Mend it.")
    return text


def _header(name: str, value: str) -> str:
    value = _expanded(value)
    if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) or not re.fullmatch(r"[\t\x20-\x7e]*", value):
        raise ConfigError(f"Its header {name!r} can't be sent.", "Use printable ASCII on one line.")
    return value.strip()


def _expanded(text: str) -> str:
    def put_in(match: re.Match[str]) -> str:
        name, default = match.groups()
        found = variable(name)
        if found is None and default is None:
            raise ConfigError(f"It uses the environment variable {name}, which is not set.", "Set it.")
        return found or default or ""

    return _VARIABLE.sub(put_in, text)


async def _run(endpoint: Endpoint, seconds: float, arguments: Mapping[str, Any]) -> ToolOutput:
    try:
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(timeout=None, trust_env=False) as client,
            client.stream(**_request(endpoint, arguments)) as response,
        ):
            return await _output(response)
    except TimeoutError:
        return _failed(f"TimeoutError: no answer in {seconds:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:  # ValueError: a header that is no text
        return _failed(printable(f"{type(error).__name__}: {error}").rstrip(": "))


def _request(endpoint: Endpoint, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing compressed is asked for: a bomb is refused by its label."""
    headers = {"Accept": "application/json, text/*", "Accept-Encoding": "identity", "User-Agent": "llamachat"}
    asked = {"method": endpoint.method, "headers": {**headers, **endpoint.headers}}
    if endpoint.method != "GET":
        return {**asked, "url": endpoint.url, "json": dict(arguments)}
    query = {key: value if isinstance(value, str) else json.dumps(value) for key, value in arguments.items()}
    return {**asked, "url": httpx.URL(endpoint.url).copy_merge_params(query)}


async def _output(response: httpx.Response) -> ToolOutput:
    status = f"the endpoint answered {response.status_code} {printable(response.reason_phrase)}".strip()
    if response.is_redirect:
        return _failed(f"{status}; redirects are not followed")
    if response.headers.get("content-encoding", "identity") != "identity":
        return _failed(f"{status} in a compressed form, which was not asked for")
    body, whole = await _read(response)
    text = _text(body, response.charset_encoding)
    if not response.is_success:
        return _failed(f"{status}: {shorten(text, MAX_ERROR)}" if text.strip() else status)
    note = "" if whole else f"\n[the answer is longer than {MAX_BYTES:,} bytes; the rest was not read]"
    return ToolOutput(shorten(_plain(text), MAX_RESULT) + note)


async def _read(response: httpx.Response) -> tuple[bytes, bool]:
    """The body up to ``MAX_BYTES``, and whether that is all."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BYTES:
            return bytes(body[:MAX_BYTES]), False
    return bytes(body), True


def _text(body: bytes, encoding: str | None) -> str:
    try:
        return printable(body.decode(encoding or "utf-8", "replace"))
    except (LookupError, ValueError):  # an encoding that Python does not know, or that is none
        return body.decode("utf-8", "replace")


def _plain(text: str) -> str:
    """JSON on one line, as other functions answer; what isn't JSON stays as it is."""
    try:
        return printable(json.dumps(json.loads(text), ensure_ascii=False))
    except (ValueError, RecursionError):
        return text


def _failed(message: str) -> ToolOutput:
    return ToolOutput(json.dumps({"error": message}, ensure_ascii=False), ok=False)
