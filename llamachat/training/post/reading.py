"""Files to learn from, to rows: one JSON object a line, a dialog or a preference. Knows the format, no training.

    {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", …}, …]}     a dialog
    {"prompt": [messages], "chosen": [messages], "rejected": [messages]}              a preference

Messages are as ``llamachat sessions export`` writes them; role and content are enough. Both kinds may say what was
offered: ``"tools": ["python", "search"]`` and ``"functions": [{"name", "description", "parameters"}]``.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from llamachat.errors import ConfigError, StorageError
from llamachat.messages import Dialog, Message, StopReason
from llamachat.offer import FunctionSpec, Offer, open_dialog
from llamachat.protocol import Dialect, Encoded, encode_dialog, encode_header, encode_message
from llamachat.sessions.codec import to_message
from llamachat.tokenizer import Tokenizer
from llamachat.training.post.rows import Reply, Row

_DEFAULTS: Mapping[str, Any] = {"content": "", "tool_calls": [], "stop": None, "token_ids": None, "context": None}
_BUILTIN = {"python": "", "search": "brave_search", "brave_search": "brave_search"}


@dataclass(frozen=True, slots=True)
class Speech:
    """How dialogs become ids for one model: its tokenizer and dialect, and the longest row it can learn from."""

    tokenizer: Tokenizer
    dialect: Dialect
    context: int
    afresh: bool = False
    """Whether texts are encoded anew though ids are there, since they are another model's."""
    today: date | None = None

    def dialog(self, messages: Sequence[Message], offer: Offer = Offer()) -> Row:
        """A whole dialog, all that the assistant says learned."""
        opened = open_dialog(Dialog(tuple(messages)), offer, self.dialect, self.today)
        encoded = encode_dialog(self.tokenizer, opened, self.dialect, add_generation_prompt=False)
        return Row((), (Reply(tuple(encoded.ids), tuple(encoded.learn)),))

    def prompt(self, messages: Sequence[Message], offer: Offer = Offer()) -> tuple[int, ...]:
        """Ids up to the header of the reply."""
        opened = open_dialog(Dialog(tuple(messages)), offer, self.dialect, self.today)
        return tuple(encode_dialog(self.tokenizer, opened, self.dialect).ids)

    def reply(self, messages: Sequence[Message]) -> Reply:
        """Ids behind the header: the assistant's messages, and what tools said between them."""
        out = Encoded()
        for message in messages:
            encode_message(self.tokenizer, message, self.dialect, out)
        header = len(encode_header(self.tokenizer, "assistant"))
        return Reply(tuple(out.ids[header:]), tuple(out.learn[header:]))


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file: where it stands, what it says."""

    where: str
    data: Mapping[str, Any]

    def wrong(self, trouble: str, hint: str = "Mend the line, or take it out.") -> ConfigError:
        """An error about it."""
        return ConfigError(f"{self.where}: {trouble}.", hint)

    def messages(self, key: str, speech: Speech) -> list[Message]:
        """The messages under ``key``. Raises ConfigError."""
        value = self.data.get(key)
        if isinstance(value, str):
            raise self.wrong(
                f'"{key}" is a text, not a list of messages', "Give the messages, not a rendered template."
            )
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(f'"{key}" is no list of messages')
        try:
            found = [to_message({**_DEFAULTS, **item}) for item in value]
        except StorageError as error:
            raise self.wrong(error.message.removesuffix(".")) from error
        return [self._own(message, speech) for message in found]

    def _own(self, message: Message, speech: Speech) -> Message:
        """With ids only if they are this model's, and an end that fits what is said."""
        if message.token_ids is not None and (speech.afresh or message.role != "assistant"):
            message = replace(message, token_ids=None)
        if message.token_ids is not None and not _says(message, speech.tokenizer):
            hint = "Train the model that the chat was held with, or add --afresh to encode the texts anew."
            raise self.wrong("the token ids are another model's", hint)
        if message.role == "assistant" and message.stop is None:
            end = StopReason.end_of_message if message.tool_calls else StopReason.end_of_turn
            message = replace(message, stop=end)
        return message

    def offer(self, known: Mapping[str, FunctionSpec]) -> Offer:
        """What the line says was offered; functions that are only named are looked up in ``known``."""
        names, listed = self.data.get("tools") or (), self.data.get("functions") or ()
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise self.wrong('"tools" is no list of names')
        try:
            specs = [FunctionSpec(str(f["name"]), str(f["description"]), dict(f["parameters"])) for f in listed]
        except (TypeError, KeyError, ValueError) as error:
            raise self.wrong('"functions" is no list of {"name", "description", "parameters"}') from error
        given = {spec.name for spec in specs}
        specs += [known[name] for name in names if name in known and name not in given]
        builtin = tuple(_BUILTIN[name] for name in names if _BUILTIN.get(name))
        return Offer("python" in names, builtin, tuple(specs))

    def undefined(self, known: Mapping[str, FunctionSpec]) -> set[str]:
        """Names of tools whose definitions are nowhere."""
        given = {f.get("name") for f in self.data.get("functions") or () if isinstance(f, dict)}
        return {name for name in self.data.get("tools") or () if name not in {*_BUILTIN, *known, *given}}


def _says(message: Message, tokenizer: Tokenizer) -> bool:
    """Whether the ids of a message spell what it says."""
    ids = message.token_ids or ()
    if any(token >= tokenizer.n_words for token in ids):
        return False
    spelled = "".join(tokenizer.decode([t for t in ids if not tokenizer.is_special(t)]).split())
    needles = [message.text, *(str(c.arguments.get("code", c.name)) for c in message.tool_calls)]
    return all("".join(needle.split()) in spelled for needle in needles)


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a file. Raises ConfigError if it can't be read, is torn or has none."""
    hint = "Give a file with one JSON object a line, such as llamachat sessions export --format dpo writes."
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise ConfigError(f"Can't read {path}: {error.strerror}.", hint) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8.", hint) from error
    if not any(line.strip() for line in lines):
        raise ConfigError(f"There is nothing in {path}.", hint)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            torn = " (is it torn?)" if number == len(lines) else ""
            raise ConfigError(f"{where} is no JSON{torn}.", "Mend the line, or take it out.") from error
        if not isinstance(data, dict):
            raise ConfigError(f"{where} is no JSON object.", hint)
        yield Line(where, data)


def dialogs(lines: Sequence[Line], speech: Speech, known: Mapping[str, FunctionSpec] = {}) -> list[Row]:
    """Rows for SFT: whole dialogs, or of preferences the chosen reply behind its prompt. Raises ConfigError."""
    rows = []
    for line in lines:
        offer = line.offer(known)
        if "messages" in line.data:
            row = speech.dialog(line.messages("messages", speech), offer)
        elif "chosen" in line.data:
            prompt = speech.prompt(line.messages("prompt", speech), offer)
            row = Row(prompt, (_reply(line, "chosen", speech),))
        else:
            raise line.wrong('there are neither "messages" nor "prompt" and "chosen"')
        if not row.learned:
            raise line.wrong("the assistant says nothing in it")
        rows.append(row)
    return rows


def preferences(lines: Sequence[Line], speech: Speech, known: Mapping[str, FunctionSpec] = {}) -> list[Row]:
    """Rows for DPO, a pair each: the chosen reply is the first. Raises ConfigError."""
    rows = []
    for line in lines:
        prompt = speech.prompt(line.messages("prompt", speech), line.offer(known))
        chosen, rejected = (_reply(line, key, speech) for key in ("chosen", "rejected"))
        if chosen == rejected:
            raise line.wrong("chosen and rejected are the same")
        rows.append(Row(prompt, (chosen, rejected), ((0, 1),)))
    return rows


def _reply(line: Line, key: str, speech: Speech) -> Reply:
    messages = line.messages(key, speech)
    if not messages or messages[0].role != "assistant":
        raise line.wrong(f'"{key}" does not begin with the assistant')
    return speech.reply(messages)


def ranked(pairs: Sequence[Row]) -> list[Row]:
    """Rows for the reward model: all replies to a prompt in one, with every preference among them."""
    prompts: dict[tuple[int, ...], list[Row]] = {}
    for row in pairs:
        prompts.setdefault(row.prompt, []).append(row)
    rows = []
    for prompt, group in prompts.items():
        replies = list(dict.fromkeys(reply for row in group for reply in row.replies))
        better = {
            (replies.index(row.replies[a]), replies.index(row.replies[b])) for row in group for a, b in row.better
        }
        rows.append(Row(prompt, tuple(replies), tuple(sorted(better))))
    return rows


def fitting(rows: Sequence[Row], context: int) -> list[Row]:
    """Those that the model can read."""
    return [row for row in rows if row.longest <= context]
