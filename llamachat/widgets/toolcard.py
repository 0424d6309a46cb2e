"""ToolCard: one call of a tool, from the code that is being written to the output. Knows no App and no toolbox."""

import json
import re

from rich.text import Text

from llamachat.messages import ToolCall, ToolResult
from llamachat.visible import visible
from llamachat.widgets.code import highlight
from llamachat.widgets.lines import LineView, folded
from llamachat.widgets.look import Look
from llamachat.widgets.message import FLUSH
from llamachat.widgets.wrap import fold, prefixed, wrap

FOLD = 8  # lines of the call, and lines of the output, that a folded card shows
LINE = 60  # characters; arguments that are longer are shown as JSON over several lines

_STREAM = re.compile(r"\[(stdout|stderr)\]\n?(.*?)\n?\[/\1\]", re.DOTALL)


class ToolCard(LineView):
    """A call and its result. ``write`` shows a call that the model is still writing."""

    def __init__(self) -> None:
        super().__init__(classes="-tool -running")
        self._draft = ""
        self._title = ""
        self._call: ToolCall | None = None
        self._result: ToolResult | None = None
        self._note = ""
        self._scheduled = False

    @property
    def source(self) -> str:
        """The call and its output."""
        return f"{self.code}\n\n{self._output}".strip()

    @property
    def code(self) -> str:
        """What runs."""
        return _code(self._call)[0] if self._call else self._draft

    @property
    def _output(self) -> str:
        return readable(self._result.output) if self._result else ""

    def write(self, text: str) -> None:
        """More of the call that is being written."""
        self._draft += text
        if not self._scheduled:
            self._scheduled = True
            self.set_timer(FLUSH, self.redraw)

    def redraw(self) -> None:
        """Show what is known by now."""
        self._scheduled = False
        super().redraw()

    def start(self, call: ToolCall, title: str) -> None:
        """The call is complete and runs; ``title`` is the name that the user knows the tool by."""
        self._call, self._title = call, title
        self.redraw()

    def end(self, result: ToolResult, seconds: float) -> None:
        """The tool has answered."""
        self._call, self._result = result.call, result
        self._finish("-good" if result.ok else "-bad", f"{'✓' if result.ok else '✗'} {seconds:.1f} s")

    def abandon(self) -> None:
        """The call will not run, or its result not come."""
        if self._result is None:
            self._finish("-bad", "✗ interrupted")

    def _finish(self, outcome: str, note: str) -> None:
        self._note = note
        self.remove_class("-running")
        self.add_class(outcome)
        self.redraw()

    def is_handle(self, y: int) -> bool:
        """The head, too, opens and folds the card."""
        return y == 0 or super().is_handle(y)

    def draw(self, width: int, look: Look) -> list[Text]:
        """Head, call, output."""
        inner = max(width - 2, 1)
        code, language = _code(self._call) if self._call else (self._draft, "python")
        rows = (
            [row for line in highlight(code.strip("\n"), language, look) for row in fold(line, inner)] if code else []
        )
        body = folded(rows, FOLD, look, self.opened)
        if self._result:
            failed = not self._result.ok
            output = wrap(Text(visible(self._output), look.muted, end=""), inner - 2)
            arrow = Text("→ ", look.bad if failed else look.good)
            body = body + prefixed(folded(output, FOLD, look, self.opened, tail=failed), arrow, Text("  "))
        indent = Text("  ")
        return [self._head(look), *prefixed(body, indent, indent)]

    def _head(self, look: Look) -> Text:
        colour = look.accent if not self._note else look.good if self._result and self._result.ok else look.bad
        title = visible(self._title).replace("\n", "␊") if self._call else "writing a call"
        note = self._note or ("running …" if self._call else "…")
        return Text.assemble(("● ", colour), (title, look.heading), (f"  {note}", look.muted), end="")


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
