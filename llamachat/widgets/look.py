"""Look: the styles of what messages are made of, as theme and stylesheet give them. Knows no Markdown, no layout."""

from dataclasses import dataclass, fields

from rich.style import Style
from textual.app import App
from textual.content import Content
from textual.theme import Theme
from textual.widget import Widget

from llamachat.visible import visible

THEME = Theme(
    name="llamachat",
    primary="#d8a657",
    secondary="#7daea3",
    accent="#89b4d8",
    warning="#dfb27a",
    error="#ea6962",
    success="#a9b665",
    foreground="#d9d5cd",
    background="#161616",
    surface="#1f1e1d",
    panel="#272624",
)
LIGHT_THEME = Theme(
    name="llamachat-light",
    primary="#9a6a12",
    secondary="#3f7a6f",
    accent="#2f6797",
    warning="#9c6414",
    error="#b3342d",
    success="#5f7217",
    foreground="#2c2a27",
    background="#faf8f4",
    surface="#f0ece4",
    panel="#e7e2d8",
    dark=False,
)


@dataclass(frozen=True, slots=True)
class Look:
    """One style per part; the stylesheet sets part ``x`` through the component class ``look--x``."""

    muted: Style = Style()
    heading: Style = Style()
    inline_code: Style = Style()
    code: Style = Style()
    link: Style = Style()
    quote: Style = Style()
    keyword: Style = Style()
    function: Style = Style()
    string: Style = Style()
    number: Style = Style()
    comment: Style = Style()
    accent: Style = Style()
    good: Style = Style()
    bad: Style = Style()


PARTS = tuple(field.name for field in fields(Look))
COMPONENTS = {f"look--{part}" for part in PARTS}


def dress(app: App[None]) -> None:
    """Give ``app`` our colours; Textual's themes stay for the choosing. To be done before it runs: a stylesheet that is
    read for another theme first costs 30 ms of the first frame."""
    for theme in (LIGHT_THEME, THEME):
        app.register_theme(theme)
    app.set_reactive(App.theme, THEME.name)
    app.stylesheet.set_variables(app.get_css_variables())
    app.add_class("-dark-mode", f"-theme-{THEME.name}", update=False)


def look_of(widget: Widget) -> Look:
    """The styles of ``widget``, resolved for its theme and background."""
    return Look(**{part: _style(widget, f"look--{part}") for part in PARTS})


def _style(widget: Widget, component: str) -> Style:
    """Colours blended over the background; the background itself only where the stylesheet names one, so that
    a line keeps the colour of what it lies on."""
    style = widget.get_component_rich_style(component)
    if widget.get_component_styles(component).has_rule("background"):
        return style
    return style.without_color + Style.from_color(style.color)


def plain_title(text: str) -> Content | None:
    """The title of a border: a string would be read as markup, and file names may have brackets."""
    return Content(visible(text).replace("\n", " ")) if text else None
