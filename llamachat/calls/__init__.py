"""What a reply says: the text of its segments, and what was offered, to ordered parts. Knows no tokens, runs nothing.

    parts         Offered, Part, and what a name with arguments is
    segments      a segment after python_tag; a body that is nothing but calls
    prose         untagged text as it streams in: what may be shown, what is a call
    json_calls    {"name": …, "parameters": {…}}, <function=NAME>{…}</function>
    python_calls  [f(a=1), g()], NAME.call(query="…"), f(a=1)
    keywords      the reader of Python keyword calls
    openings, fences   how calls and code blocks begin

Every function is total: whatever the text, it gives parts. The rules stand in docs/replies.md.
"""

from llamachat.calls.parts import CODE_INTERPRETER, Ended, ErrorCode, Judge, Offered, Part, explain
from llamachat.calls.prose import Prose
from llamachat.calls.segments import read_tagged

__all__ = ["CODE_INTERPRETER", "Ended", "ErrorCode", "Judge", "Offered", "Part", "Prose", "explain", "read_tagged"]
