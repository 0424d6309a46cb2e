"""Where a call begins: told from the first characters of a message. Knows names, no schemas.

Untagged text is left alone until it can be nothing but a call, so that a model may still answer in JSON.
"""

import re
from typing import Literal

from llamachat.calls import Offered

Verdict = Literal["wait", "call", "text", "refuse"]

LONGEST = 1000  # bytes that are waited for
_SPACE = re.compile(rb"\s+")
_OTHER = re.compile(rb'\{"name":"((?:[^"\\]|\\.)*)"(.*)', re.DOTALL)
_GIVEN = (b',"parameters"', b',"arguments"')


def judge_head(head: bytes, offered: Offered, *, tagged: bool) -> Verdict:
    """What a message is that begins with ``head``.

    A call: ``{"type": "function"``, ``{"name": "NAME"``, ``<function=``, ``NAME.call(``, and without code ``[NAME(``,
    for NAMEs that are offered. Refused: parameters for another name. ``tagged`` text may also be code.
    """
    text = _SPACE.sub(b"", head).replace(b"'", b'"')
    if not text:
        return "wait"
    body = text.removeprefix(b"[")
    names = [name.encode() for name in offered.names]
    objects = [b'{"type":"function"', *(b'{"name":"' + name + b'"' for name in names)]
    heads = [b"<function=", *(name + b".call(" for name in names)]
    lists = [] if tagged and offered.code else [b"[" + name + b"(" for name in names]
    if any(body.startswith(known) for known in objects) or any(text.startswith(known) for known in heads + lists):
        return "call"
    if other := _OTHER.match(body):
        after = other[2]
        if any(after.startswith(key) for key in _GIVEN):
            return "refuse"
        return "wait" if len(head) < LONGEST and any(key.startswith(after) for key in _GIVEN) else "text"
    named = body.startswith(b'{"name":"') and b'"' not in body[9:]
    begun = any(known.startswith(body) for known in (*objects, b'{"name":"'))
    begun = begun or any(known.startswith(text) for known in heads + lists)
    return "wait" if len(head) < LONGEST and (named or begun or not body) else "text"
