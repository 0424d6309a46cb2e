"""What a server answers to a call: text for the model, files for the user. Knows no connection.

All of it is capped; what is left out is told. Text stays text: the tokenizer makes no specials of it.
"""

import base64
import binascii
import json
import mimetypes
import re
import shutil
import tempfile
from pathlib import Path

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)

from llamachat.messages import Artifact
from llamachat.protocol import frame_failure
from llamachat.tools import ToolOutput
from llamachat.tools.mcp_servers.taming import plain
from llamachat.tools.shorten import printable, shorten

MAX_RESULT = 16 << 10  # characters of a result that the model sees
MAX_FILES = 16  # of one result
MAX_KEPT = 256 << 20  # bytes of files that one server may leave with us until it is closed

_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,60}")


class Files:
    """A private folder for what one server gives, made when it is needed, gone after ``remove``."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._bytes = self._count = 0

    def keep(self, encoded: str, media_type: str | None, stem: str) -> Artifact:
        """A file of base64 text. Raises ValueError, whose text says why there is none."""
        media_type = media_type if media_type and _MEDIA_TYPE.fullmatch(media_type) else "application/octet-stream"
        try:
            data = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error) as error:
            raise ValueError("it is no valid base64") from error
        if self._bytes + len(data) > MAX_KEPT:
            raise ValueError(f"this server has given more than {MAX_KEPT >> 20} MB of files")
        try:
            self._folder = self._folder or Path(tempfile.mkdtemp(prefix="llamachat-mcp-"))
            path = self._folder / f"{stem}-{self._count + 1}{mimetypes.guess_extension(media_type) or '.bin'}"
            path.write_bytes(data)
        except OSError as error:
            raise ValueError(f"it can't be kept: {error.strerror}") from error
        self._bytes += len(data)
        self._count += 1
        return Artifact(path.name, media_type, str(path))

    def remove(self) -> None:
        """Delete the folder."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder, self._bytes = None, 0


def read_result(result: CallToolResult, files: Files, stem: str) -> ToolOutput:
    """The texts of ``result`` as one; images, sounds and other bytes as files named after ``stem``.

    What a tool gives as data only becomes JSON. An error that the tool reports is a failure, in its own words.
    """
    lines: list[str] = []
    artifacts: list[Artifact] = []
    for block in result.content:
        text = _text(block)
        if text is None:
            text = _file(block, files, artifacts, stem)
        lines.append(text)
    if not any(lines) and result.structured_content is not None:
        lines = [json.dumps(result.structured_content, ensure_ascii=False)]
    text = shorten(printable("\n".join(lines)), MAX_RESULT) or "(an empty result)"
    return ToolOutput(frame_failure(text) if result.is_error else text, not result.is_error, tuple(artifacts))


def _text(block: ContentBlock) -> str | None:
    """What can be read in ``block``; None if it holds bytes."""
    match block:
        case TextContent(text=text):
            return text
        case ResourceLink(uri=uri, name=name):
            return f"[link: {plain(name, 100)} {plain(uri, 500)}]"
        case EmbeddedResource(resource=resource) if not isinstance(resource, BlobResourceContents):
            return resource.text
    return None


def _file(block: ContentBlock, files: Files, artifacts: list[Artifact], stem: str) -> str:
    """Keep the bytes of ``block``; a line that tells the model of them."""
    match block:
        case ImageContent(data=data, mime_type=media_type):
            kind = "image"
        case AudioContent(data=data, mime_type=media_type):
            kind = "sound"
        case EmbeddedResource(resource=BlobResourceContents(blob=data, mime_type=media_type)):
            kind = "file"
        case _:
            return "[content of an unknown kind was left out]"
    try:
        if len(artifacts) == MAX_FILES:
            raise ValueError(f"a result may hold {MAX_FILES} files")
        artifact = files.keep(data, media_type, stem)
    except ValueError as reason:
        return f"[a {kind} was left out: {reason}]"
    artifacts.append(artifact)
    size = Path(artifact.path).stat().st_size
    return f"[{kind}: {artifact.name}, {artifact.media_type}, {size:,} bytes; the user sees it]"
