"""Caller: sends codes to the terminal that shows the app, and calls a user who looks elsewhere. Knows no dialog."""

from textual.app import App

from llamachat.paths import terminal_facts
from llamachat.widgets.terminal import notification_code


def send(app: App[None], codes: str) -> None:
    """Write ``codes`` to the terminal."""
    if app._driver:
        app._driver.write(codes)


def call(app: App[None], text: str) -> None:
    """A notification, if the terminal is not in front."""
    if not app.app_focus:
        send(app, notification_code(text, tmux="TMUX" in terminal_facts()))
