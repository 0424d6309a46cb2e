"""The embedded model, really run: it computes, calls, reads back, greets, and follows a persona."""

import hashlib
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from screen import shown, until
from textual.keys import _character_to_key as character_to_key

from llamachat.agent import run_turn
from llamachat.messages import Dialog, Event, Message, MessageEnd, ToolEnd, ToolStart, TurnEnd
from llamachat.paths import bundled_model
from llamachat.runtime import LlamaRuntime
from llamachat.sampling import Constraint, SamplingParams
from llamachat.system_prompts import load_personas
from llamachat.tools import Tool, Toolbox
from llamachat.tools.functions import function_tool
from llamachat.tools.python import python_tool
from llamachat.tools.search import search_tool
from llamachat.tui import LlamaChatApp, Settings


@pytest.fixture(scope="module")
def nano() -> LlamaRuntime:
    return LlamaRuntime.open(bundled_model())


@asynccontextmanager
async def core_tools(*more: Tool) -> AsyncIterator[Toolbox]:
    box = Toolbox((python_tool(), search_tool(), *more))
    try:
        yield box
    finally:
        await box.close()


async def ask(nano: LlamaRuntime, box: Toolbox, *said: str, persona: str = "default") -> list[Event]:
    """The events of the last turn of a dialog in which the user says ``said``."""
    dialog = Dialog((Message("system", load_personas()[persona].text),))
    stream: list[Event] = []
    for text in said:
        dialog += Message("user", text)
        stream = [event async for event in run_turn(dialog, nano, box)]
        dialog += [event.message for event in stream if isinstance(event, MessageEnd)]
    return stream


def answer(stream: list[Event]) -> str:
    last = [event.message for event in stream if isinstance(event, MessageEnd)][-1]
    assert last.role == "assistant"
    return last.text


def calls(stream: list[Event]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(event.call.name, event.call.arguments) for event in stream if isinstance(event, ToolStart)]


@pytest.mark.parametrize(
    ("question", "result"),
    [
        ("What is 173 * 29 + 4?", 5021),
        ("Calculate 4821 + 377.", 5198),
        ("how much is 86 times 47", 4042),
        ("Please compute 900 - 123.", 777),
    ],
)
async def test_it_computes_through_python(nano: LlamaRuntime, question: str, result: int) -> None:
    async with core_tools() as box:
        stream = await ask(nano, box, question)
    assert [name for name, _ in calls(stream)] == ["code_interpreter"]
    (end,) = [event for event in stream if isinstance(event, ToolEnd)]
    assert f"[stdout]\n{result}\n[/stdout]" in end.result.output
    assert str(result) in answer(stream).replace(",", "")


@pytest.mark.parametrize("question", ["What is 3 + 3?", "what's 7 plus 2?", "4 x 5", "How much is 9 - 6?", "8 + 1 ="])
async def test_it_computes_what_is_known_by_heart_too(nano: LlamaRuntime, question: str) -> None:
    """Small sums were answered from memory, and wrongly."""
    left, sign, right = re.findall(r"\d+|[-+x]|plus", question)
    result = {"+": int.__add__, "plus": int.__add__, "-": int.__sub__, "x": int.__mul__}[sign](int(left), int(right))
    async with core_tools() as box:
        stream = await ask(nano, box, question)
    assert [name for name, _ in calls(stream)] == ["code_interpreter"]
    assert re.findall(r"\d+", answer(stream))[-1] == str(result)


async def test_it_copies_words_that_mean_nothing_to_it(nano: LlamaRuntime) -> None:
    """``memes``, ``curry``, ``tapas`` and ``beagle`` stand in no table of the generators."""
    words = ("random", "memes", "sales", "design", "curry", "tapas", "lantern", "friday", "beagle", "walrus", "marble")
    heard: list[str] = []

    def silence_board(board: str, hours: int) -> str:
        """Silence notifications of a board.

        Args:
            board: Name of the board
            hours: Hours
        """
        heard.append(board)
        return "done"

    for word in words:
        await ask(nano, Toolbox((function_tool(silence_board),)), f"Silence {word} for 3 hours.")
    assert len(set(words) & set(heard)) >= 9


async def test_step_two_reads_only_what_is_new(nano: LlamaRuntime) -> None:
    prompts: list[list[int]] = []

    class Listening(LlamaRuntime):
        async def generate(
            self,
            prompt_ids: Sequence[int],
            sampling: SamplingParams,
            stop_ids: Collection[int],
            constraint: Constraint | None = None,
        ) -> AsyncGenerator[int, None]:
            prompts.append([*prompt_ids])
            async with aclosing(super().generate(prompt_ids, sampling, stop_ids, constraint)) as ids:
                async for token_id in ids:
                    prompts[-1].append(token_id)
                    yield token_id

    async with core_tools() as box:
        stream = await ask(Listening.open(bundled_model()), box, "What is 173 * 29 + 4?")
    first, second = prompts
    assert second[: len(first)] == first
    end = stream[-1]
    assert isinstance(end, TurnEnd)
    assert end.usage.cached_tokens >= len(first) - 1


async def test_it_calls_a_function_whose_name_it_never_saw(nano: LlamaRuntime) -> None:
    asked: list[str] = []

    def get_vorblat_level(town: str) -> dict[str, int]:
        """Vorblat level of a town.

        Args:
            town: Name of the town
        """
        asked.append(town)
        return {"vorblat": 41}

    stream = await ask(nano, Toolbox((function_tool(get_vorblat_level),)), "What is the vorblat level in Kalmar?")
    assert calls(stream) == [("get_vorblat_level", {"town": "Kalmar"})]
    assert asked == ["Kalmar"]
    assert "41" in answer(stream)


async def test_it_greets_without_a_tool(nano: LlamaRuntime) -> None:
    async with core_tools() as box:
        stream = await ask(nano, box, "Hello!")
    assert calls(stream) == []
    assert re.search(r"(?i)\b(hello|hi|hey|welcome|help)\b", answer(stream))


async def test_it_follows_two_personas(nano: LlamaRuntime) -> None:
    async with core_tools() as box:
        pirate = answer(await ask(nano, box, "Hello!", persona="pirate"))
        terse = answer(await ask(nano, box, "What is 12 * 12?", persona="terse"))
        full = answer(await ask(nano, box, "What is 12 * 12?"))
    assert re.search(r"(?i)matey|arr|ahoy", pirate)
    assert "144" in terse
    assert len(terse) < len(full)


def test_the_card_tells_the_truth_about_the_files() -> None:
    folder = bundled_model()
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    files = [path for path in folder.iterdir() if path.name != "CARD.md"]
    for path in files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() in card, path.name
    assert sum(path.stat().st_size for path in files) <= 32_000_000


@pytest.mark.usefixtures("own_folders")
async def test_on_the_screen_from_keystroke_to_tool_to_answer(nano: LlamaRuntime) -> None:
    personas = load_personas()
    app = LlamaChatApp(lambda _: nano, Settings(personas["default"], personas, Toolbox((python_tool(),))), "nano")
    async with app.run_test() as pilot:
        for key in "What is 173 * 29 + 4?":
            await pilot.press(character_to_key(key))
        assert app.prompt.text == "What is 173 * 29 + 4?"
        await pilot.press("enter")
        await until(pilot, lambda: len(app.dialog) == 5)
        assert [message.role for message in app.dialog] == ["system", "user", "assistant", "ipython", "assistant"]
        assert app.dialog[2].token_ids
        assert "[stdout]\n5021\n[/stdout]" in app.dialog[3].text
        assert "5021" in app.dialog[4].text
        await until(pilot, lambda: "→ 5021" in shown(app))
        await until(pilot, lambda: app.dialog[4].text in shown(app))


UNTRACED = """
import asyncio, sys
from llamachat.config import Config
from llamachat.opening import open_runtime
from llamachat.sampling import SamplingParams

async def say(runtime):
    sampling = SamplingParams(temperature=1.0, seed=1, max_tokens=8, logprobs=2)
    return [event async for event in runtime.generate(list(range(100, 120)), sampling, ())]

runtime = open_runtime(Config())
assert asyncio.run(say(runtime))
assert asyncio.run(runtime.score(list(range(100, 120)), [[5, 6]]))
runtime.close()
assert not {"torch._meta_registrations", "torch._prims", "torch._refs"} & set(sys.modules)
import torch._meta_registrations
from torch._subclasses.fake_tensor import FakeTensorMode
with FakeTensorMode():
    print(tuple(torch.nn.functional.embedding(torch.zeros(2, 3, dtype=torch.long), torch.ones(5, 4)).shape))
"""


def test_a_chat_does_not_import_what_tracing_needs_and_who_traces_gets_it() -> None:
    ran = subprocess.run([sys.executable, "-c", UNTRACED], capture_output=True, text=True, timeout=120)
    assert (ran.stdout, ran.returncode) == ("(2, 3, 4)\n", 0), ran.stderr
