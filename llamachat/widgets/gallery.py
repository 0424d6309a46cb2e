"""Gallery: how the pictures of a transcript are shown, as half blocks or by the terminal itself. Frees what is no
longer seen. Knows no widget and no App."""

import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from rich.text import Text

from llamachat.widgets.kitty import cells, delete, ids, transmit
from llamachat.widgets.pictures import Stamp, bitmap, picture, stamp
from llamachat.widgets.terminal import through_tmux

IDLE = 16  # pictures out of sight that the terminal keeps, so that they need not be sent anew; at most 1.5 MB each

Key = tuple[str, Stamp, int]
"""Path, which version of the file, cells that it may be wide."""


class Gallery:
    """Half blocks, which need nothing but colours."""

    def hang(self, owner: object, path: str, width: int) -> list[Text]:
        """The picture in ``path`` as lines for ``owner``, at most ``width`` cells wide; empty if it can't be shown."""
        return picture(path, width)

    def take_down(self, owner: object) -> None:
        """``owner`` shows no picture any more."""

    def again(self) -> None:
        """The terminal has forgotten all."""

    def close(self) -> None:
        """Nothing is shown any more."""


@dataclass(slots=True)
class _Sent:
    id: int
    columns: int
    rows: int
    owners: set[object] = field(default_factory=set)


class KittyGallery(Gallery):
    """Real pictures by kitty's protocol. ``send`` writes to the terminal; ``many``: it has true colours, not 256;
    ``tmux`` stands in between and passes codes on."""

    def __init__(self, send: Callable[[str], None], *, many: bool = True, tmux: bool = False) -> None:
        self._send, self._tmux = send, tmux
        self._sent: OrderedDict[Key, _Sent] = OrderedDict()
        # Other programs, in other panes, may have sent pictures, too: a random start makes it unlikely that ids meet.
        self._ids = ids(random.randrange(1 << 24), many=many)

    def hang(self, owner: object, path: str, width: int) -> list[Text]:
        """Sends it if the terminal doesn't have it. Blocks stand in for what can't be sent."""
        key = (path, version, width) if (version := stamp(path)) else None
        if key is None or (key not in self._sent and not self._transmit(key)):
            return super().hang(owner, path, width)
        sent = self._sent[key]
        sent.owners.add(owner)
        self._sent.move_to_end(key)
        self._free(IDLE)
        return cells(sent.id, sent.columns, sent.rows)

    def take_down(self, owner: object) -> None:
        """Its pictures may stay in the terminal for a while: most come back at once, in other colours for instance."""
        for sent in self._sent.values():
            sent.owners.discard(owner)
        self._free(IDLE)

    def again(self) -> None:
        """Send what is shown once more, under the same ids."""
        shown = [(key, sent) for key, sent in self._sent.items() if sent.owners]
        self._sent.clear()
        for key, sent in shown:
            if self._transmit(key, sent.id):
                self._sent[key].owners = sent.owners

    def close(self) -> None:
        """Leave nothing in the terminal."""
        for sent in self._sent.values():
            sent.owners.clear()
        self._free(0)

    def _transmit(self, key: Key, id: int | None = None) -> bool:
        made = bitmap(key[0], key[2])
        id = id or self._free_id()
        if made is None or id is None:
            return False
        self._write(transmit(id, made.png, made.columns, made.rows))
        self._sent[key] = _Sent(id, made.columns, made.rows)
        return True

    def _free_id(self) -> int | None:
        taken = {sent.id for sent in self._sent.values()}
        return next((id for id in islice(self._ids, 256) if id not in taken), None)  # of 256 colours, all may be taken

    def _free(self, most: int) -> None:
        """Delete the idle pictures that were shown longest ago, down to ``most``."""
        idle = [key for key, sent in self._sent.items() if not sent.owners]
        for key in idle[: max(len(idle) - most, 0)]:
            self._write([delete(self._sent.pop(key).id)])

    def _write(self, codes: list[str]) -> None:
        self._send("".join(through_tmux(code) if self._tmux else code for code in codes))
