"""ToolCard: one call of a tool, from the code that is being written to the output. Knows no widget and no toolbox."""

import json
import re
from collections.abc import Hashable

from rich.text import Text

from llamachat.messages import Artifact, ToolCall, ToolResult
from llamachat.visible import visible
from llamachat.widgets.look import Look
from llamachat.widgets.pictures import caption, is_picture
from llamachat.widgets.view import View, clip, folded, rows_of
from llamachat.widgets.wrap import fold, prefixed, wrap

FOLD = 8  # lines of the call, and lines of the output, that a folded card shows
LINE = 60  # characters; arguments that are longer are shown as JSON over several lines

_STREAM = re.compile(r"\[(stdout|stderr)\]\n?(.*?)\n?\[/\1\]", re.DOTALL)


class ToolCard(View):
    """A call and its result. ``write`` shows a call that the model is still writing."""

    def __init__(self, key: Hashable = None) -> None:
        super().__init__(key)
        self._draft = ""
        self._title = ""
        self._call: ToolCall | None = None
        self._result: ToolResult | None = None
        self._note = ""
        self._file_rows: dict[int, str] = {}

    @property
    def kind(self) -> str:
        """A tool's card."""
        return "tool"

    @property
    def source(self) -> str:
        """The call and its output."""
        return f"{self.code}\n\n{self._output}".strip()

    @property
    def code(self) -> str:
        """What runs."""
        return _code(self._call)[0] if self._call else self._draft

    @property
    def files(self) -> tuple[str, ...]:
        """What the tool made for the user."""
        return tuple(artifact.path for artifact in self._artifacts)

    @property
    def _artifacts(self) -> tuple[Artifact, ...]:
        return self._result.artifacts if self._result else ()

    @property
    def _output(self) -> str:
        return readable(self._result.output) if self._result else ""

    def write(self, text: str) -> None:
        """More of the call that is being written."""
        self._draft += text
        self.changed(self)

    def start(self, call: ToolCall, title: str) -> None:
        """The call is complete and runs; ``title`` is the name that the user knows the tool by."""
        self._call, self._title = call, title
        self.changed(self)

    def end(self, result: ToolResult, seconds: float | None) -> None:
        """The tool has answered; None: nobody knows how long it took."""
        self._call, self._result = result.call, result
        took = "" if seconds is None else f" {seconds:.1f} s"
        self._finish(f"{'✓' if result.ok else '✗'}{took}")

    def abandon(self) -> None:
        """The call will not run, or its result not come."""
        if self._result is None:
            self._finish("✗ interrupted")

    def _finish(self, note: str) -> None:
        self._note = note
        self.changed(self)

    def is_handle(self, y: int) -> bool:
        """The head, too, opens and folds the card."""
        return y == 0 or super().is_handle(y)

    def file_at(self, y: int) -> str:
        """A picture and its caption stand for the file."""
        return self._file_rows.get(y, "")

    @property
    def weight(self) -> int:
        """A row of a picture is 80 coloured cells, or some 50 kB in the terminal."""
        return super().weight + 7 * len(self._file_rows)

    def forget(self) -> None:
        """The pictures, too."""
        super().forget()
        self._take_down()

    def _take_down(self) -> None:
        if self.gallery:
            self.gallery.take_down(self)

    def guess(self, width: int) -> int:
        """Folded, both parts are short."""
        parts = [rows_of(part, width) for part in (self.code, self._output) if part]
        return 1 + sum(rows if self.opened else min(rows, FOLD + 1) for rows in parts) + len(self._artifacts)

    # ── drawing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def draw(self, width: int, look: Look) -> list[Text]:
        """Head, call, output, files."""
        inner = max(width - 2, 1)
        indent = Text("  ")
        body = [*self._code_rows(inner, look), *self._output_rows(inner, look)]
        lines = [self._head(look), *prefixed(body, indent, indent)]
        self._take_down()
        self._file_rows = {}
        for artifact in self._artifacts:
            rows = prefixed(self._file(artifact, inner, look), indent, indent)
            self._file_rows |= {len(lines) + i: artifact.path for i in range(len(rows))}
            lines += rows
        return lines

    def _head(self, look: Look) -> Text:
        colour = look.accent if not self._note else look.good if self._result and self._result.ok else look.bad
        title = visible(self._title).replace("\n", "␊") if self._call else "writing a call"
        note = self._note or ("running …" if self._call else "…")
        return Text.assemble(("● ", colour), (title, look.heading), (f"  {note}", look.muted), end="")

    def _code_rows(self, width: int, look: Look) -> list[Text]:
        code, language = _code(self._call) if self._call else (self._draft, "python")
        code = code.strip("\n")
        if not code:
            return []
        code, cut = (code, 0) if self.opened else clip(code, FOLD, width)
        from llamachat.widgets.code import highlight  # late: it brings Pygments

        rows = [row for line in highlight(code, language, look) for row in fold(line, width)]
        return folded(rows, FOLD, look, self.opened, cut=cut)

    def _output_rows(self, width: int, look: Look) -> list[Text]:
        if self._result is None or not self._output:
            return []
        failed = not self._result.ok
        arrow = Text("→ ", look.bad if failed else look.good)
        output, cut = (self._output, 0) if self.opened else clip(self._output, FOLD, width, tail=failed)
        rows = wrap(Text(visible(output), look.muted, end=""), width - 2)
        return prefixed(folded(rows, FOLD, look, self.opened, tail=failed, cut=cut), arrow, Text("  "))

    def _file(self, artifact: Artifact, width: int, look: Look) -> list[Text]:
        """The picture, if it is one, and the caption."""
        gallery = self.gallery if is_picture(artifact.media_type) else None
        rows = gallery.hang(self, artifact.path, width) if gallery else []
        unseen = gallery is not None and not rows
        return [*rows, *wrap(Text(caption(artifact, unseen=unseen), look.muted, end=""), width)]


def readable(output: str) -> str:
    """The body of an ipython message without the marks that are meant for the model."""
    streams = [match[2] for match in _STREAM.finditer(output)]
    status = _STREAM.sub("", output).strip()
    if not streams:
        return "" if status == "completed" else status
    return "\n".join(streams) if status in ("completed", "error", "failed") else f"{status}\n" + "\n".join(streams)


def _code(call: ToolCall) -> tuple[str, str]:
    """The arguments as source, and its language."""
    if set(call.arguments) == {"code"} and isinstance(call.arguments["code"], str):
        return call.arguments["code"], "python"
    line = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in call.arguments.items())
    if len(line) <= LINE:
        return line, "python"
    return json.dumps(dict(call.arguments), indent=2, ensure_ascii=False), "json"
