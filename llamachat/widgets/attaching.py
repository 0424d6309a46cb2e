"""Attaching: looks into files that are named in the prompt, and says what they cost before they are sent. Reads beside
the event loop, every version of a file once. Knows no widget and no dialog."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from llamachat.chat.mentions import mentions, with_names
from llamachat.errors import LlamaChatError
from llamachat.threads import in_thread
from llamachat.tools.files import Attachment, read_attachment
from llamachat.widgets.waiting import Waiting

SETTLE = 0.2  # seconds without a key before files are read
KEPT = 16  # files that are not read again

Version = tuple[Path, int, int]
"""A file, when it was changed in ns, its size in bytes."""


class Attaching:
    """``count`` gives the tokens of a text, 0 if that is not known yet."""

    def __init__(self, count: Callable[[str], int]) -> None:
        self._count = count
        self._read: dict[Version, Attachment] = {}
        self.preview = ""
        """What the files cost that the prompt names, or what is wrong with one."""

    async def look(self, text: str) -> bool:
        """Preview the files that ``text`` names, unless this is cancelled by more text. Whether the preview is new."""
        before = self.preview
        if "@" in text:
            await asyncio.sleep(SETTLE)
            self.preview = await in_thread(partial(self._preview, text))
        else:
            self.preview = ""
        return self.preview != before

    async def message(self, text: str, attached: Iterable[Attachment]) -> Waiting:
        """``text`` to send, with the files that it names behind those that are ``attached`` already.

        Raises ConfigError if a file can't be given to the model.
        """
        files = {attachment.path: attachment for attachment in attached}
        if "@" in text:
            found = await in_thread(partial(mentions, text))
            files |= {m.path: await in_thread(partial(self._look_into, m.path)) for m in found}
            text = with_names(text, found)
        self.preview = ""
        return Waiting(text, tuple(files.values()))

    def title(self, attached: Iterable[Attachment]) -> str:
        """What goes with the next message, for the border of the prompt."""
        names = ", ".join(attachment.name for attachment in attached)
        return " · ".join(part for part in (f"attached: {names}" if names else "", self.preview) if part)

    def _preview(self, text: str) -> str:
        parts = []
        for path in dict.fromkeys(mention.path for mention in mentions(text)):
            try:
                parts.append(self._cost(self._look_into(path)))
            except LlamaChatError as error:
                parts.append(error.message)
        return " · ".join(parts)

    def _cost(self, attachment: Attachment) -> str:
        tokens = self._count(attachment.block(in_python=True))
        cost = f"{tokens:,} tokens" if tokens else f"{len(attachment.text):,} characters"
        return f"{attachment.name}: {attachment.shape}, {cost}{'' if attachment.whole else ' of its beginning'}"

    def _look_into(self, path: Path) -> Attachment:
        try:
            found = path.stat()
        except OSError:
            return read_attachment(path)  # it says what is wrong
        version = (path, found.st_mtime_ns, found.st_size)
        if version not in self._read:
            self._read[version] = read_attachment(path)
            for old in list(self._read)[:-KEPT]:
                del self._read[old]
        return self._read[version]
