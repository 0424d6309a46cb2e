"""Sessions that are never lost: a tree of messages, written down as it happens. Knows no model, no screen.

    store = Store()                                     # ~/.local/share/llamachat/sessions.db
    session = store.create(cwd) | store.open(id)        # store.latest(), store.find(prefix), store.search(words)
    session.ask(Message("user", text), conditions)      # then run_turn(session.dialog(), …)
    recorder = Recorder(session, conditions)            # recorder.feed(event) for each; recorder.close() at the end

Ids of messages are strings; a session's ``tree`` says what hangs below what. All writing happens in one thread.
"""

from llamachat.sessions.recorder import Recorder
from llamachat.sessions.records import Conditions, Flag, Hit, Info, Kind, Node, Outcome, local, short
from llamachat.sessions.session import Session
from llamachat.sessions.store import Store, unsaved
from llamachat.sessions.tree import Row, Tree

__all__ = [
    "Conditions", "Flag", "Hit", "Info", "Kind", "Node", "Outcome", "Recorder", "Row", "Session", "Store", "Tree",
    "local", "short", "unsaved",
]  # fmt: skip
