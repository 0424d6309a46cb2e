"""Where in a reply a call may stand, II: untagged text, as it streams in. What can't be a call is shown at once.

A body that may be nothing but calls is held back to its end; in prose, only what begins like a call is, until it is
clear what it is. One scanner serves the stream and the final reading, so what was shown is what is read.
"""

import re

from llamachat.calls.json_calls import function_tag, json_value
from llamachat.calls.keywords import read_call_list
from llamachat.calls.openings import LIST_HEAD, OBJECT_HEAD, TAG, begins_call, begins_fence, skip_space
from llamachat.calls.parts import Found, Judge, Offered, Part, is_noise
from llamachat.calls.python_calls import call_list, dot_call
from llamachat.calls.segments import read_whole, whole_calls
from llamachat.literals import read_json

Verdict = int | Found | None
"""What a mark is: text up to a position, a call, or None: that can't be told yet."""

_GROWTH = 4  # what is undecided is read again when it has grown by a quarter: linear time in all
_FUEL = 4  # characters that may be read in vain, per character of text: hostile text stays linear too
_FUEL_LEAST = 2**16
_UNNAMED = ("unknown_function", "missing_name")


class Prose:
    """The untagged text of one message. ``feed`` gives what may be shown; ``finish`` gives the parts."""

    def __init__(self, offered: Offered) -> None:
        self.text = ""
        self.shown = 0
        self._offered = offered
        self._found: list[tuple[int, Found]] = []
        self._whole = bool(offered)  # the body may yet turn out to be nothing but calls
        self._held = False  # there is a call, or what will be one: nothing more is shown before the end
        self._retry = 0  # length of the text at which an undecided mark is looked at again
        self._pos = self._safe = 0  # all before is decided, all before is text
        self._spent = 0
        self._line_start = True
        self._quoted = False  # in inline backticks
        self._fence = ""  # the backticks that will close the code block
        calls = "|".join(rf"{re.escape(name)}\.call" for name in sorted(offered.builtin))
        self._mark = re.compile(r"\n|`+|[{\[<]" + (f"|{calls}" if calls else ""))

    def feed(self, text: str) -> str:
        """Add ``text``; returns what has become certain to be text for the user, without trailing space."""
        self.text += text
        if self._held or len(self.text) < self._retry:
            return ""
        if self._whole and self._hold_whole():
            return ""
        if self._offered:
            self._scan(Judge(self._offered, "length"), final=False)
        else:
            self._safe = len(self.text)
        ready = self.text[self.shown : self._safe].rstrip()
        if self.shown == 0 and is_noise(ready):
            return ""
        self.shown += len(ready)
        return ready

    def finish(self, judge: Judge, *, alone: bool) -> list[Part]:
        """The parts, in order. ``alone``: no tagged segment follows. Text without any call is one part, verbatim."""
        whole = read_whole(judge, self.text) if self._offered and not self.shown else None
        if whole:
            return list(whole.parts)
        if self._offered:
            self._scan(judge, final=True)
        if not self._found and alone:
            return [Part("text", judge.stop, text=self.text)]
        parts: list[Part] = []
        pos = 0
        for start, found in [*self._found, (len(self.text), Found((), 0))]:
            piece = self.text[pos:start].strip()
            if not is_noise(piece):
                parts.append(Part("text", judge.stop, text=piece, issues=("trailing_text",) * bool(pos)))
            in_prose = any(part.kind == "text" for part in parts)
            parts += (found.marked("call_in_prose") if in_prose else found).parts
            pos = found.end
        return parts

    def _hold_whole(self) -> bool:
        """Whether the body so far may be nothing but calls."""
        start = skip_space(self.text, 0)
        if not self.text.startswith("`", start):
            begins = begins_call(self.text, start, self._offered)
            self._held = bool(begins)
            self._whole = begins is not False
            return self._whole
        content = begins_fence(self.text, start, self._offered)
        self._whole = content is not False
        if content:
            close = self.text.find("```", content)
            self._whole = close < 0 or is_noise(self.text[close:].lstrip("`"))
            self._wait(start)
        return self._whole

    def _wait(self, start: int) -> None:
        self._retry = len(self.text) + (len(self.text) - start) // _GROWTH

    def _scan(self, judge: Judge, *, final: bool) -> None:
        """Decide as much as can be decided; ``final``: no more text comes."""
        self._retry = 0
        while self._pos < len(self.text):
            if self._fence and not self._pass_fence():
                return
            mark = self._mark.search(self.text, self._pos)
            if mark is None:
                self._pass_tail(final=final)
                return
            start = mark.start()
            self._line_start &= not self.text[self._pos : start].strip()
            self._pos = self._safe = start
            verdict = self._verdict(judge, mark, final=final)
            if isinstance(verdict, Found) and not final:
                self._held = True
                return
            if verdict is None:
                self._wait(start)
                return
            if isinstance(verdict, Found):
                self._found.append((start, verdict))
                verdict = verdict.end
            self._line_start = mark[0] == "\n"
            self._pos = self._safe = verdict

    def _pass_fence(self) -> bool:
        """Step to the end of a code block, or as far as there is text; says whether the block is closed."""
        close = self.text.find(self._fence, self._pos)
        if close < 0:
            self._safe = len(self.text)
            self._pos = max(self._pos, len(self.text) - len(self._fence) + 1)
            return False
        self._pos = self._safe = close + len(self._fence)
        self._fence = ""
        return True

    def _pass_tail(self, *, final: bool) -> None:
        """Step to the end of the text, unless a call of a built-in may be beginning there."""
        tail = self.text[self._pos :].lstrip()
        if not final and self._line_start and any(f"{name}.call".startswith(tail) for name in self._offered.builtin):
            self._safe = self._pos
            return
        self._line_start &= not tail
        self._pos = self._safe = len(self.text)

    def _verdict(self, judge: Judge, mark: re.Match[str], *, final: bool) -> Verdict:
        kind, start, end = mark[0][0], mark.start(), mark.end()
        if kind == "\n":
            self._quoted = False
            return end
        if kind == "`":
            return self._backticks(judge, mark, final=final)
        if self._quoted or self._spent > _FUEL * len(self.text) + _FUEL_LEAST:
            return end
        if kind == "<":
            return self._tag(judge, start, final=final)
        if kind in "{[":
            return self._bracket(judge, start, final=final)
        return self._dot_call(judge, mark, final=final) if self._line_start else end

    def _backticks(self, judge: Judge, mark: re.Match[str], *, final: bool) -> Verdict:
        start, end = mark.span()
        if end == len(self.text) and not final:
            return None
        if not self._line_start or len(mark[0]) < 3:
            self._quoted = not self._quoted
            return end
        content = begins_fence(self.text, start, self._offered)
        if content is None and not final:
            return None
        if content:
            close = self.text.find(mark[0], content)
            if close < 0 and not final:
                return None
            found = whole_calls(judge, self.text[content : close if close >= 0 else len(self.text)])
            if found and all(part.error not in _UNNAMED for part in found.parts):
                return Found(found.marked("fenced").parts, close + len(mark[0]) if close >= 0 else len(self.text))
        self._fence = mark[0]
        return end

    def _tag(self, judge: Judge, start: int, *, final: bool) -> Verdict:
        head = self.text[start : start + len(TAG)]
        if head != TAG:
            return None if TAG.startswith(head) and not final else start + 1
        self._held = True
        return (function_tag(judge, self.text, start) or start + 1) if final else None

    def _bracket(self, judge: Judge, start: int, *, final: bool) -> Verdict:
        head = OBJECT_HEAD.match(self.text, start)
        if (head.end() if head else skip_space(self.text, start + 1)) == len(self.text):
            return start + 1 if final else None
        if head:
            return self._object(judge, start, final=final) if self.text[head.end()] in "\"'" else start + 1
        return self._list(judge, start, final=final) if self._line_start and self.text[start] == "[" else start + 1

    def _object(self, judge: Judge, start: int, *, final: bool) -> Verdict:
        """Objects of data are stepped over, so that what they hold is no call."""
        reading = read_json(self.text, start)
        self._spent += reading.end - start
        if reading.problem:
            return None if reading.problem == "incomplete" and not final else start + 1
        parts = json_value(judge, reading) or []
        sure = [part for part in parts if part.error not in _UNNAMED and "missing_parameters" not in part.issues]
        return Found(tuple(parts), reading.end) if parts and len(sure) == len(parts) else reading.end

    def _list(self, judge: Judge, start: int, *, final: bool) -> Verdict:
        head = LIST_HEAD.match(self.text, start)
        after = head.end() if head else start + 1
        if after == len(self.text) and not final:
            return None
        if not head or not head[1] or not self.text.startswith("(", after):
            return start + 1
        self._spent += len(self.text) - start
        if not final and read_call_list(self.text, start).problem == "incomplete":
            return None
        found = call_list(judge, self.text, start)
        return found if found and any(part.error not in _UNNAMED for part in found.parts) else start + 1

    def _dot_call(self, judge: Judge, mark: re.Match[str], *, final: bool) -> Verdict:
        after = skip_space(self.text, mark.end())
        if after == len(self.text) and not final:
            return None
        if not self.text.startswith("(", after):
            return mark.end()
        self._held = True
        return (dot_call(judge, self.text, mark.start()) or mark.end()) if final else None
