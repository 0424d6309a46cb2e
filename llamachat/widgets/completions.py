"""CompletionList: what a half-written command or path may become, above the prompt. Knows neither, and no App."""

from collections.abc import Sequence

from rich.style import Style
from rich.text import Text

from llamachat.chat.commands import Completion
from llamachat.visible import visible
from llamachat.widgets.lines import LineView
from llamachat.widgets.look import Look

ROWS = 8


class CompletionList(LineView, can_focus=False):
    """A few lines, the chosen one marked; no room is taken while there is nothing to complete."""

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self._completions: Sequence[Completion] = ()
        self._chosen = 0

    @property
    def source(self) -> str:
        """The completions, one to a line."""
        return "\n".join(completion.shown for completion in self._completions)

    def show(self, completions: Sequence[Completion], chosen: int) -> None:
        """Show ``completions``, or nothing."""
        self._completions, self._chosen = completions, chosen
        self.display = bool(completions)
        self.redraw()

    def draw(self, width: int, look: Look) -> list[Text]:
        """A row per completion, those around the chosen one if they are many."""
        rows = max(1, min(ROWS, self.screen.size.height // 3))
        start = max(0, min(self._chosen - rows // 2, len(self._completions) - rows))
        shown = self._completions[start : start + rows]
        column = max((len(visible(completion.shown)) for completion in shown), default=0) + 2
        lines = [
            self._row(completion, column, width, look, start + i == self._chosen) for i, completion in enumerate(shown)
        ]
        if rows == ROWS < len(self._completions):
            lines.append(Text(f"  {self._chosen + 1} of {len(self._completions)} · ↑↓", look.muted, end=""))
        return lines

    @staticmethod
    def _row(completion: Completion, column: int, width: int, look: Look, chosen: bool) -> Text:
        text, help_ = (visible(part).replace("\n", " ") for part in (completion.shown, completion.help))
        style = look.accent + Style(bold=True) if chosen else look.heading.without_color
        row = Text.assemble(
            (("❯ " if chosen else "  "), look.accent), (text.ljust(column), style), (help_, look.muted), end=""
        )
        row.truncate(width, overflow="ellipsis")
        return row
