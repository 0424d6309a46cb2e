"""Documents to text, by a process that is killed when it takes too long. Knows its pipes, not what it parses with.

The process is no sandbox: it has limits of time and memory, an empty environment and no open files of ours, but a hole
in the parsers' C code would have the user's rights.
"""

import asyncio
import importlib.util
import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from llamachat.errors import PageError, StorageError
from llamachat.tools.search import readable

_PROGRAM = Path(readable.__file__).resolve()
_LONGEST = 12 * readable.MAX_CHARS + 10_000  # bytes of an answer, if JSON escapes each character in 12


@dataclass(frozen=True, slots=True)
class Document:
    """What a document says."""

    title: str
    text: str


class Reader:
    """``async with Reader() as reader``: its process starts with the first document, and ends with the block.

    A document has ``seconds`` for the careful reading, and HTML half of that for a plain one after it.
    """

    def __init__(self, seconds: float = 6.0) -> None:
        self._seconds = seconds
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def html(self, body: bytes, charset: str | None = None) -> Document:
        """The article of a page; if that takes too long, all its text; raises PageError if that does, too."""
        try:
            return await self._read("html", body, charset, self._seconds)
        except TimeoutError:
            return await self._in_time("plain html", body, charset, self._seconds / 2)

    async def pdf(self, body: bytes) -> Document:
        """The text of a PDF. Raises PageError if there is none in time."""
        return await self._in_time("pdf", body, None, self._seconds)

    async def _in_time(self, kind: str, body: bytes, charset: str | None, seconds: float) -> Document:
        try:
            return await self._read(kind, body, charset, seconds)
        except TimeoutError as error:
            raise PageError("The document can't be read in time: it is too tangled.", "Open another.") from error

    async def _read(self, kind: str, body: bytes, charset: str | None, seconds: float) -> Document:
        process = self._process = self._process or await _start()
        assert process.stdin is not None
        assert process.stdout is not None
        answer = b""
        try:
            async with asyncio.timeout(seconds):
                job = json.dumps({"kind": kind, "charset": charset, "bytes": len(body)})
                with suppress(ConnectionError):  # it died: the answer is empty
                    process.stdin.write(job.encode() + b"\n" + body)
                    await process.stdin.drain()
                answer = await process.stdout.readline()
        except ValueError:
            pass  # a line beyond the limit is no answer of ours
        finally:
            if not answer.endswith(b"\n"):
                await self._end()
        return _checked(answer)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.communicate())  # reaps it and closes the pipes


async def _start() -> asyncio.subprocess.Process:
    spec = importlib.util.find_spec("trafilatura")
    libraries = str(Path(spec.origin).parent.parent) if spec and spec.origin else ""
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-B", "-X", "utf8", str(_PROGRAM), libraries),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd="/",
            env={"LANG": "C.UTF-8"},
            start_new_session=True,  # Ctrl-C is for us
            limit=_LONGEST,
        )
    except OSError as error:
        raise StorageError(
            f"The reader of pages can't be started: {error.strerror}.", "Close some programs."
        ) from error


def _checked(line: bytes) -> Document:
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not all(isinstance(value, str) for value in answer.values()):
        raise PageError("The document can't be read: its reader gave up on it.", "Open another.")
    if set(answer) != {"title", "text"}:
        raise PageError(f"The document can't be read: {answer.get('error', 'no reason')}.", "Open another.")
    return Document(answer["title"], answer["text"])
