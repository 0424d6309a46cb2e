"""Caller: sends codes to the terminal that shows the app, pictures among them, calls a user who looks elsewhere, and
hears what the system calls. Knows no dialog."""

import asyncio
import os
import select
import signal
from functools import partial

from textual.app import App

from llamachat.paths import terminal_facts
from llamachat.widgets.gallery import Gallery, KittyGallery
from llamachat.widgets.kitty import speaks_kitty
from llamachat.widgets.terminal import notification_code

GONE = 0.25  # seconds between two looks at whether the terminal is there: less than 30 drawings


def send(app: App[None], codes: str) -> None:
    """Write ``codes`` to the terminal."""
    if app._driver:
        app._driver.write(codes)


def leave_on_signals(app: App[None]) -> None:
    """End ``app`` in order when its terminal goes, or it is told to end: what was said is written, and the terminal is
    as it was. Under nohup the terminal may go.

    A terminal that is not ours to hear from goes without a signal: Textual would ask it for keys for ever, and wait for
    ever once 30 writes had failed.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, partial(app.exit, return_code=128 + number))
    if os.isatty(0):
        terminal = select.poll()
        terminal.register(0, 0)  # that it hung up is told unasked
        app.set_interval(GONE, lambda: app.exit(return_code=128 + signal.SIGHUP) if terminal.poll(0) else None)


def call(app: App[None], text: str) -> None:
    """A notification, if the terminal is not in front."""
    if not app.app_focus:
        send(app, notification_code(text, tmux="TMUX" in terminal_facts()))


def gallery_of(app: App[None], choice: str) -> Gallery | None:
    """How ``app`` shows pictures, by the setting ``ui.pictures``.

    Nothing asks the terminal: its answer would delay the first frame, or be taken for keys. A picture's id is told by
    a colour, so where there are none it is blocks, and in a browser.
    """
    colours, facts = app.console.color_system, terminal_facts()
    able = colours in ("truecolor", "256") and not app.no_color and not app.is_web
    if able and (choice == "kitty" or (choice == "auto" and speaks_kitty(facts))):
        return KittyGallery(partial(send, app), many=colours == "truecolor", tmux="TMUX" in facts)
    return None if choice == "off" else Gallery()
