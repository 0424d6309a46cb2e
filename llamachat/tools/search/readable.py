"""A document's bytes to its title and readable text. Imports nothing of ours: it runs as a process of its own.

Parsers of HTML and PDF are large, and hostile documents keep them busy for minutes (100,000 attributes in one tag take
trafilatura 20 s). So ``reader`` runs this file as a process that it can kill. One JSON line and a body in, one JSON
line out, until stdin ends.
"""

import codecs
import io
import json
import re
import resource
import sys
from contextlib import suppress
from html.parser import HTMLParser

MAX_CHARS = 1_000_000
_MEMORY = 2 << 30  # bytes of address space
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
# Codecs of files. Not utf-7, in which markup hides, nor escapes, punycode and idna, which can be slow.
_CODECS = re.compile(r"(utf-(8|16|32)|ascii|iso8859|cp\d|koi8|mac|gb|hz|big5|euc|shift|johab|tis)", re.IGNORECASE)
_META = re.compile(rb"""<(?:meta[^>]{0,200}?charset\s*=|\?xml[^>]{0,100}?encoding\s*=)\s*["']?([\w-]{1,40})""", re.I)
_BLOCKS = frozenset("address article aside blockquote br dd div dl dt figcaption footer form h1 h2 h3 h4 h5 h6 header"
                    " hr li main nav ol p pre section table td th tr ul".split())  # fmt: skip
_SILENT = frozenset(("script", "style", "noscript", "template"))


def decode(body: bytes, charset: str | None = None) -> str:
    """Text in the encoding of its byte order mark, or ``charset``, or what its markup declares, or UTF-8, or cp1252.

    Never fails: what does not fit is U+FFFD; NULs are dropped.
    """
    mark = next((name for begin, name in _MARKS if body.startswith(begin)), None)
    if name := mark or _codec(charset) or _codec(_declared(body)):
        return body.decode(name, "replace").removeprefix("\ufeff").replace("\0", "")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        # It is UTF-8 up to its last character: the body was cut there.
        cut = error.start >= len(body) - 3 and not body[: error.start].isascii()
        text = body.decode("utf-8" if cut else "cp1252", "replace")
    return text.replace("\0", "")


def _declared(body: bytes) -> str | None:
    found = _META.search(body[:2048])
    return found[1].decode("ascii") if found else None


def _codec(name: str | None) -> str | None:
    with suppress(LookupError, ValueError):
        known = codecs.lookup((name or "")[:40]).name
        return known if _CODECS.match(known) else None
    return None


def read(kind: str, text: str, body: bytes) -> tuple[str, str]:
    """Title and text of a document: "html" or "plain html" from ``text``, "pdf" from ``body``."""
    if kind == "pdf":
        return _pdf(body)
    return _plain(text) if kind == "plain html" else _html(text)


def _html(text: str) -> tuple[str, str]:
    """The article; or all text, if there is none to be told from the rest."""
    from trafilatura import bare_extraction

    title, whole = _plain(text)
    document = bare_extraction(text, with_metadata=True, include_comments=False, favor_recall=True)
    article = (getattr(document, "text", None) or "").strip()
    # It can also pick one remark out of a page of lists: less than a tenth of a short page is no article.
    found = article if article and (len(whole) > 20_000 or 10 * len(article) >= len(whole)) else whole
    return title or getattr(document, "title", None) or "", found


class _Text(HTMLParser):
    """What a page says, block by block, whatever its markup."""

    def __init__(self) -> None:
        super().__init__()
        self.title: list[str] = []
        self.words: list[str] = []
        self._silent = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._silent += tag in _SILENT
        self._in_title = tag == "title"
        if tag in _BLOCKS:
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._silent = max(0, self._silent - (tag in _SILENT))
        self._in_title = False
        if tag in _BLOCKS:
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._silent:
            self.words.append(data)


def _plain(text: str) -> tuple[str, str]:
    parser = _Text()
    parser.feed(text)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.words).split("\n"))
    return " ".join("".join(parser.title).split()), "\n".join(line for line in lines if line)


def _pdf(body: bytes) -> tuple[str, str]:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(body))
        pages, size = [], 0
        for page in reader.pages:
            pages.append(page.extract_text())
            size += len(pages[-1])
            if size > MAX_CHARS:
                break
        title = str(reader.metadata.title or "") if reader.metadata else ""
    except (PyPdfError, ValueError, TypeError, KeyError, AttributeError, IndexError, OSError, NotImplementedError) as e:
        raise ValueError(f"its PDF is damaged or locked ({type(e).__name__})") from e
    return " ".join(title.split()), "\n\n".join(pages)


def main() -> None:
    """Answer ``{"kind", "charset", "bytes"}`` and a body with ``{"title", "text"}`` or ``{"error"}``."""
    with suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    source, answers = sys.stdin.buffer, sys.stdout
    sys.stdout = sys.stderr  # libraries print, too
    for line in source:
        job = json.loads(line)
        body = source.read(job["bytes"])
        try:
            text = "" if job["kind"] == "pdf" else decode(body, job["charset"])
            title, found = read(job["kind"], text, body)
            answer = {"title": title[:500], "text": found[:MAX_CHARS]}
        except (ValueError, MemoryError, RecursionError) as error:
            answer = {"error": str(error)[:200] or "it is too tangled"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    sys.path.append(sys.argv[1])  # an isolated Python knows no libraries that are installed for one user
    main()
