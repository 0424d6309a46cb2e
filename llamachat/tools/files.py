"""Files that the user attaches: what the model reads of them. Knows text, tables and PDFs; knows no sandbox and no UI.

Small files are given whole; of large ones the model gets the beginning and the shape, and reads the rest with python.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llamachat.errors import ConfigError

LIMIT = 6000  # characters of a file that are given as they are: about 1,500 tokens
HEAD_ROWS = 6
MAX_BYTES = 64 << 20
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")

Kind = Literal["text", "table", "pdf"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file as the model sees it. ``shape`` says how much there is; ``text`` is all of it, or its beginning."""

    path: Path
    kind: Kind
    shape: str
    text: str
    whole: bool

    @property
    def name(self) -> str:
        """What the model calls it, and python opens."""
        return self.path.name

    def block(self, in_python: bool) -> str:
        """What goes into the prompt. ``in_python``: the python tool can open it by its name."""
        where = ", in python's working folder" if in_python else ""
        part = "" if self.whole else " It begins:"
        return f"Attached file {self.name} ({self.shape}{where}).{part}\n{self.text}"


def read_attachment(path: Path, limit: int = LIMIT) -> Attachment:
    """Look into ``path``. Blocks, on a large PDF for seconds.

    Raises ConfigError on what is no file, can't be read, or holds no text: pictures, archives, programs.
    """
    data = _bytes(path)
    if data.startswith(b"%PDF-"):
        return _pdf(path, data, limit)
    if data.startswith(_PICTURES) or data[8:12] == b"WEBP":
        raise ConfigError(f"{path.name} is a picture, and this model reads text only.", "Describe it in words.")
    return as_attachment(path, _decode(path, data), limit)


def as_attachment(path: Path, text: str, limit: int = LIMIT) -> Attachment:
    """``text`` as what stands in ``path``, which is not looked into: a table if it reads as one, by its ending."""
    rows = _rows(text) if path.suffix.lower() in (".csv", ".tsv") else []
    lines = text.count("\n") + (not text.endswith("\n"))
    shape = f"{_count(len(rows) - 1, 'row')} × {len(rows[0])} columns" if rows else _count(lines, "line")
    kind: Kind = "table" if rows else "text"
    if len(text) <= limit:
        return Attachment(path, kind, shape, text, True)
    head = "".join(text[:limit].splitlines(keepends=True)[:HEAD_ROWS]) if rows else _head(text, limit // 2)
    return Attachment(path, kind, f"{shape}, {len(text):,} characters", head, False)


def context_of(attachments: Iterable[Attachment], in_python: bool) -> str | None:
    """The ``Message.context`` of a message with ``attachments``."""
    return "\n\n".join(attachment.block(in_python) for attachment in attachments) or None


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ConfigError(f"{path} is a folder.", "Attach the files in it one by one.")
        if not path.is_file():  # also keeps us from waiting at a pipe or device
            raise ConfigError(f"There is no file {path}.", "Check its name.")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ConfigError(f"{path.name} has {size >> 20:,} MB; {MAX_BYTES >> 20} MB is the most.", "Cut it.")
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}.", "Check its permissions.") from error


def _decode(path: Path, data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\x00" in data[:8192]:
        raise ConfigError(f"{path.name} holds no text.", "Attach txt, md, csv, pdf or source code.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")  # what old spreadsheets write


def _rows(text: str) -> list[list[str]]:
    """The rows of a table, or none if it isn't one."""
    try:
        dialect = csv.Sniffer().sniff(text[:8192], ",;\t|")
    except csv.Error:
        dialect = csv.excel
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), dialect) if row]
    except csv.Error:  # a field of more than 128 kB
        return []
    return rows if rows and len(rows[0]) > 1 else []


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _head(text: str, limit: int) -> str:
    """The beginning, up to a line's end if one is near."""
    end = text.rfind("\n", limit // 2, limit)
    return text[: end if end > 0 else limit]


def _pdf(path: Path, data: bytes, limit: int) -> Attachment:
    from pypdf import PdfReader  # late: 0.1 s
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise ConfigError(f"{path.name} is locked with a password.", "Unlock it first.")
        pages, text = len(reader.pages), ""
        read = 0
        while read < pages and len(text) <= limit:
            text += reader.pages[read].extract_text() + "\n"
            read += 1
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise ConfigError(f"{path.name} is a damaged PDF: {error}.", "Open it elsewhere and save it anew.") from error
    if not text.strip():
        raise ConfigError(f"{path.name} holds pictures of pages, no text.", "Run it through OCR first.")
    whole = read == pages and len(text) <= limit
    return Attachment(path, "pdf", _count(pages, "page"), text.strip() if whole else _head(text, limit).strip(), whole)
