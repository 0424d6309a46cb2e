"""Look: the styles of what messages are made of, as the stylesheet gives them. Knows no Markdown and no layout."""

from dataclasses import dataclass, fields

from rich.style import Style
from textual.widget import Widget


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
