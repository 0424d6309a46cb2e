"""Codes that a terminal understands and Textual does not send: what goes through tmux, notifications. Pure text."""

import base64

from llamachat.visible import visible

TMUX_LIMIT = 74_994  # base64 characters of an OSC 52 code; what is longer, many terminals drop without a word


def clipboard_code(text: str) -> str:
    """OSC 52 wrapped for tmux, which passes it to the terminal outside (allow-passthrough)."""
    coded = base64.b64encode(text.encode("utf-8", "replace")).decode()
    return through_tmux(f"\x1b]52;c;{coded}\a")


def through_tmux(code: str) -> str:
    """``code``, wrapped so that tmux passes it to the terminal outside (allow-passthrough)."""
    return f"\x1bPtmux;{code.replace(chr(27), chr(27) * 2)}\x1b\\"


def fits_clipboard(text: str) -> bool:
    """Whether terminals take so much."""
    return len(text.encode("utf-8", "replace")) * 4 // 3 <= TMUX_LIMIT


def notification_code(text: str, *, tmux: bool) -> str:
    """A bell, and OSC 9, which kitty, iTerm2, WezTerm, Ghostty and Windows Terminal show as a notification."""
    code = f"\x1b]9;{visible(text).replace(chr(10), ' ')}\a"
    return "\a" + (through_tmux(code) if tmux else code)
