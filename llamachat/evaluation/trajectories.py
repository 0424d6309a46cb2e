"""Writes what happened in each task: its events, to be replayed, and its dialog, to be read. Knows one folder."""

import json
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

from llamachat.errors import StorageError
from llamachat.evaluation.run import Outcome
from llamachat.messages import Message, to_json


class Trajectories:
    """A folder with two files for each task: ``ID.jsonl`` is its events as ``testing.replay`` reads them (a TurnEnd
    ends each turn), ``ID.json`` its verdict, its dialog, and the task itself, so that it can be held again.
    """

    def __init__(self, folder: Path) -> None:
        """Raises StorageError if the folder can't be made."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failed(error) from error

    def add(self, outcome: Outcome) -> None:
        """Write one task. Raises StorageError."""
        events = "".join(json.dumps(to_json(event)) + "\n" for event in outcome.events)
        whole = {
            "id": outcome.task.id,
            "passed": outcome.passed,
            "reasons": [turn.reason for turn in outcome.turns],
            "messages": [_message(message) for message in outcome.dialog],
            "task": asdict(outcome.task),
        }
        file = self._folder / f"{quote(outcome.task.id, safe='')}.jsonl"
        try:
            file.write_text(events, encoding="utf-8")
            file.with_suffix(".json").write_text(json.dumps(whole, indent=1), encoding="utf-8")
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> StorageError:
        return StorageError(f"Can't write to {self._folder}: {error.strerror}.", "Give a folder that can be written.")


def _message(message: Message) -> dict[str, object]:
    calls = [{"name": call.name, "arguments": dict(call.arguments)} for call in message.tool_calls]
    return {"role": message.role, "content": message.text, "tool_calls": calls, "stop": message.stop}
