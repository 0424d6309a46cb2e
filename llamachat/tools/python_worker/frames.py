"""What a worker may say, and how much of it. Knows bytes and JSON, no process.

A worker is not trusted: every field is checked and every size capped, and nothing is ever unpickled.
"""

import base64
import binascii
import json
import struct
from collections.abc import Mapping
from typing import Any

from llamachat.tools.shorten import printable

HEAD = struct.Struct(">I")
ACKNOWLEDGED = b"\x06"
"""What a worker says when it takes up a cell, before the frame."""
MAX_IMAGES = 8
MAX_IMAGE = 2 << 20
"""Bytes of a figure."""
_PNG = b"\x89PNG\r\n\x1a\n"


def largest(output: int) -> int:
    """Bytes of the largest honest frame: a value and a traceback of so many characters, each escaped in 12 bytes, and
    the figures in base64."""
    return 24 * output + 4096 + MAX_IMAGES * (MAX_IMAGE * 4 // 3 + 64)


def pack(value: Mapping[str, Any]) -> bytes:
    """One frame."""
    body = json.dumps(value).encode()
    return HEAD.pack(len(body)) + body


def checked(body: bytes, expected: int) -> Mapping[str, Any] | None:
    """The answer to cell ``expected``, figures as bytes; None if anything about it is not as it should be."""
    try:
        frame = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(frame, dict) or set(frame) - {"images"} != {"id", "status", "value", "error"}:
        return None
    if type(frame["id"]) is not int or frame["id"] != expected:
        return None
    if frame["status"] not in ("completed", "error", "interrupted"):
        return None
    texts = {key: frame[key] for key in ("value", "error")}
    if not all(text is None or isinstance(text, str) for text in texts.values()):
        return None
    if (images := _images(frame.get("images", []))) is None:
        return None
    return {
        "status": frame["status"],
        **{key: text and printable(text) for key, text in texts.items()},
        "images": images,
    }


def _images(values: object) -> tuple[bytes, ...] | None:
    if not isinstance(values, list) or len(values) > MAX_IMAGES:
        return None
    images = []
    for value in values:
        if not isinstance(value, str) or len(value) > MAX_IMAGE * 4 // 3 + 64:
            return None
        try:
            image = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return None
        if not image.startswith(_PNG):
            return None
        images.append(image)
    return tuple(images)
