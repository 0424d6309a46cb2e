"""The doors without a screen: one answer for scripts, and a line by line chat for pipes and screen readers.

lines      what the user types, waited for in such a way that Ctrl-C is heard
front      the chat's front, in lines
show       a turn as text or JSON
talk       the chat, and what becomes of a line
one_shot   an answer for scripts
repl       line after line
"""

from llamachat.plain.one_shot import one_shot
from llamachat.plain.repl import repl
from llamachat.plain.talk import Talk

__all__ = ["Talk", "one_shot", "repl"]
