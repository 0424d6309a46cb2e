"""Many dialogs at a time, rejection sampling, what is taken of it, and the files it is written to and read from."""

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from llamachat.checkpoints import Checkpoint, open_checkpoint
from llamachat.errors import ConfigError
from llamachat.evaluation.run import Judged, Outcome, Settings, converse
from llamachat.evaluation.stubs import toolbox
from llamachat.evaluation.tasks import Call, Expect, Function, Return, Task, Turn
from llamachat.messages import Dialog, Message, StopReason, ToolCall
from llamachat.model import ModelConfig, Transformer
from llamachat.offer import FunctionSpec, Offer
from llamachat.paths import bundled_model
from llamachat.runtime import LlamaRuntime
from llamachat.sampling import SamplingParams
from llamachat.training.post.cells import Notebook
from llamachat.training.post.crew import Branch, Crew
from llamachat.training.post.decoding import Feed, Table, feed
from llamachat.training.post.harvest import Harvest, rewarded, write
from llamachat.training.post.prompts import training_tasks
from llamachat.training.post.quality import cleaned, jaccard, scored, trouble, without_near_duplicates
from llamachat.training.post.reading import Speech, dialogs, fitting, preferences, ranked, read_lines
from llamachat.training.post.reject import WARM, Samples, best, fault, pairs, sample
from llamachat.training.post.rounds import Plan, Round, tabulate

GREEDY = SamplingParams(temperature=0.0, max_tokens=40)


@pytest.fixture(scope="module")
def nano() -> Checkpoint:
    torch.set_num_threads(1)
    return open_checkpoint(bundled_model())


@pytest.fixture(scope="module")
def speech(nano: Checkpoint) -> Speech:
    return Speech(nano.load_tokenizer(), nano.dialect, 2048)


@pytest.fixture(scope="module")
def crew(nano: Checkpoint, speech: Speech) -> Crew:
    return Crew(nano.load_model(), speech.tokenizer, nano.dialect, name="nano")


# ---- decoding


def test_branches_behind_a_prompt_read_what_each_alone_would() -> None:
    torch.manual_seed(0)
    model = Transformer(ModelConfig(32, 2, 4, 2, 48, 64, context=512)).eval()
    prompt, told = list(range(1, 20)), [[5, 6, 7], [8], [9, 10]]

    def alone(ids: Sequence[int]) -> torch.Tensor:
        return model.hidden(torch.tensor([ids]))[0, -1]

    with torch.inference_mode():
        table, other = Table(model, prompt, 3), Table(model, [4, 4], 1)
        assert torch.allclose(table.first[0], alone(prompt), atol=1e-5)
        states = feed(model, [Feed(table, i, ids) for i, ids in enumerate(told)])
        for state, ids in zip(states, told, strict=True):
            assert torch.allclose(state, alone(prompt + ids), atol=1e-5)
        long = [i % 60 for i in range(150)]  # longer than a buffer is at first
        states = feed(model, [Feed(table, 0, [11]), Feed(table, 2, [12, 13]), Feed(other, 0, long)])
        wanted = ([*prompt, 5, 6, 7, 11], [*prompt, 9, 10, 12, 13], [4, 4, *long])
        for state, ids in zip(states, wanted, strict=True):
            assert torch.allclose(state, alone(ids), atol=1e-4)


def test_a_crew_says_what_the_runtime_says(crew: Crew, nano: Checkpoint, speech: Speech) -> None:
    """Greedy, several dialogs at a time, tools and their results in them."""
    tasks = training_tasks(4, 3, ("json_single", "multi_turn"))
    settings, found = Settings(GREEDY), dict[str, Outcome]()

    async def hold(task: Task, branch: Branch) -> None:
        found[task.id] = await converse(task, branch, toolbox(task, Notebook().tool(task)), settings)

    async def both() -> list[Outcome]:
        await crew.play(tasks, hold, branches=1, tables=4)
        runtime = LlamaRuntime(nano.load_model(), speech.tokenizer, dialect=nano.dialect, name="nano")
        try:
            return [await converse(t, runtime, toolbox(t, Notebook().tool(t)), settings) for t in tasks]
        finally:
            runtime.close()

    for outcome in asyncio.run(both()):
        assert found[outcome.task.id].dialog == outcome.dialog


# ---- rejection sampling


def draw(crew: Crew, temperature: float = WARM.temperature, **changes: Any) -> list[Samples]:
    tasks = training_tasks(2, 1, ("python_arith", "json_single"))
    sampling = replace(WARM, max_tokens=80, temperature=temperature)
    return asyncio.run(sample(crew, tasks, k=3, tables=2, sampling=sampling, **changes))


def test_a_seed_gives_the_same_samples_and_they_are_judged(crew: Crew) -> None:
    once, again = draw(crew), draw(crew)
    assert _ids(once) == _ids(again)
    hot, other = draw(crew, temperature=2.0), draw(crew, temperature=2.0, seed=2)  # else it may be sure of all it says
    assert _ids(hot) != _ids(other)
    arithmetic = once[0]
    assert arithmetic.rate > 0
    assert arithmetic.offer.code


def _ids(every: Sequence[Samples]) -> list[list[tuple[int, ...] | None]]:
    return [[message.token_ids for message in o.dialog] for samples in every for o in samples.outcomes]


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Function("weather", "Weather of a city", CITY, (Return(None, {"sky": "clear"}),))
TASK = Task("t", "json", (Turn("Weather in Oslo?", Expect(("clear",), calls=(Call("weather", {"city": "Oslo"}),))),),
            functions=(WEATHER,))  # fmt: skip


def outcome(reason: str, *calls: Call, reply: str = "It is clear.", ids: int = 0, task: Task = TASK) -> Outcome:
    """A dialog that ended so."""
    messages = [Message("user", task.turns[0].user)]
    for call in calls:
        made = (ToolCall(call.name, dict(call.arguments)),)
        messages += [Message("assistant", "", made, StopReason.end_of_message), Message("ipython", '{"sky": "clear"}')]
    messages += [Message("assistant", reply, stop=StopReason.end_of_turn, token_ids=(ids, 9))]
    return Outcome(task, (Judged(reply, calls, reason),), Dialog(tuple(messages)), ())


RIGHT = outcome("", Call("weather", {"city": "Oslo"}))


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (outcome("no such call of weather", Call("weather", {"city": "Rome"})), "argument"),
        (outcome("1 function calls instead of 1", Call("time", {"city": "Oslo"})), "function"),
        (outcome("0 function calls instead of 1"), "missing"),
        (outcome("2 function calls instead of 1", Call("weather"), Call("weather")), "undue"),
        (outcome("answer_any", Call("weather", {"city": "Oslo"}), reply="It rains."), "answer"),
        (outcome("empty reply", reply=""), "broken"),
        (outcome("unexpected call", Call("weather"), task=replace(TASK, turns=(Turn("Hi", Expect(no_call=True)),))),
         "undue"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_dialog(bad: Outcome, kind: str) -> None:
    assert fault(bad) == kind


def samples(*outcomes: Outcome) -> Samples:
    spec = FunctionSpec("weather", "Weather of a city", CITY)
    return Samples(TASK, Offer(functions=(spec,)), list(outcomes))


ARGUMENT = outcome("no such call of weather", Call("weather", {"city": "Rome"}), ids=1)
ANSWER = outcome("answer_any", Call("weather", {"city": "Oslo"}), reply="It rains.", ids=2)


def test_pairs_are_right_beside_wrong_hard_ones_first() -> None:
    found = list(pairs(samples(ANSWER, RIGHT, ARGUMENT), 5))
    assert [pair["fault"] for pair in found] == ["argument", "answer"]
    assert all(pair["chosen"][-1]["content"] == "It is clear." for pair in found)
    assert found[0]["rejected"][0]["tool_calls"] == [{"name": "weather", "arguments": {"city": "Rome"}}]
    assert [pair["fault"] for pair in pairs(samples(ANSWER, RIGHT, ARGUMENT), 5, hard=False)] == ["answer"]
    assert list(pairs(samples(ANSWER, ARGUMENT))) == []
    assert len(list(pairs(samples(RIGHT, ANSWER, ARGUMENT), 1))) == 1


def test_the_best_of_those_that_passed_is_the_reward_models() -> None:
    longer = outcome("", Call("weather", {"city": "Oslo"}), Call("weather", {"city": "Oslo"}), ids=4)
    every = samples(longer, ARGUMENT, RIGHT)
    assert best(every) == [RIGHT]
    every.rewards = [2.0, 9.0, 1.0]
    assert best(every) == [longer]
    assert every.rate == pytest.approx(2 / 3)


def test_a_harvest_can_be_read_back(speech: Speech, tmp_path: Path) -> None:
    report = write([samples(RIGHT, ARGUMENT), samples(ANSWER)], Harvest(k=2), tmp_path)
    assert (report["yield"], report["rate"], report["dialogs"], report["pairs"]) == (0.5, 0.25, 1, 1)
    assert json.loads((tmp_path / "report.json").read_text()) == report
    speech = replace(speech, afresh=True)  # the ids here are made up
    (row,) = dialogs(list(read_lines(tmp_path / "sft.jsonl")), speech)
    assert '"name":"weather"' in speech.tokenizer.decode(row.replies[0].ids)
    (pair,) = preferences(list(read_lines(tmp_path / "pairs.jsonl")), speech)
    chosen, rejected = (speech.tokenizer.decode(reply.ids) for reply in pair.replies)
    assert chosen.startswith('<|python_tag|>{"type": "function", "name": "weather", "parameters": {"city": "Oslo"}}')
    assert '"Rome"' in rejected


def test_python_is_run_once_for_the_same_cells(crew: Crew) -> None:
    async def run() -> tuple[list[str], int]:
        notebook = Notebook()
        try:
            await notebook.open()
            first, second = notebook.tool(TASK), notebook.tool(TASK)
            told = [await tool.run({"code": code}) for code in ("x = 20", "x + 3") for tool in (first, second)]
            return [output.text for output in told], notebook.ran
        finally:
            await notebook.close()

    texts, ran = asyncio.run(run())
    assert texts[2] == texts[3] == "completed\n[stdout]\n23\n[/stdout]"
    assert ran == 2


# ---- quality


def line(*said: str, user: str = "Hi", **extra: Any) -> dict[str, Any]:
    whole = {"tool_calls": [], "stop": "end_of_turn"}
    messages = [{"role": "user", "content": user, **whole}]
    return {"messages": [*messages, *({"role": "assistant", "content": text, **whole} for text in said)], **extra}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (line(), "no answer"),
        (line(" "), "no answer"),
        (line("I see <|eot_id|>"), "debris"),
        (line("a b c d e " * 3), "loop"),
        (line("Yes!!!! Great!"), "exclamations"),
        (line("I'm sorry. I apologize."), "apologies"),
        (line("Fine."), ""),
    ],
)
def test_rules(bad: dict[str, Any], why: str) -> None:
    assert trouble(bad) == why
    kept, thrown = cleaned([bad])
    assert (kept, dict(thrown)) == (([], {why: 1}) if why else ([bad], {}))


def test_the_difficult_and_well_judged_come_first() -> None:
    lines = [line("a", reward=1.0, difficulty=0.0), line("b", reward=2.0, difficulty=0.9), line("c", reward=0.0)]
    assert scored(lines) == [lines[1], lines[0], lines[2]]


def test_near_duplicates_are_dropped_and_others_are_not() -> None:
    long = "What is the weather like in the town of {} today, and should I take an umbrella with me when I go out?"
    lines = [line("Clear.", user=long.format(city)) for city in ("Oslo", "Rome")]
    other = line("Clear.", user="Which of my files is the largest one?")
    assert without_near_duplicates([*lines, other, lines[0]]) == [lines[0], other]
    assert jaccard(frozenset({1, 2, 3}), frozenset({2, 3, 4})) == 0.5


# ---- files


def written(folder: Path, *data: Any) -> Path:
    (folder / "it.jsonl").write_text("\n".join(d if isinstance(d, str) else json.dumps(d) for d in data))
    return folder / "it.jsonl"


USER, GOOD, BAD = ({"role": r, "content": c} for r, c in (("user", "Hi"), ("assistant", "Hello."), ("assistant", "No")))
PAIR = {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]}


def test_plain_messages_are_enough_and_are_said_as_the_chat_says_them(speech: Speech, tmp_path: Path) -> None:
    file = written(tmp_path, {"messages": [USER, GOOD], "tools": ["python"]}, PAIR)
    whole, chosen = dialogs(list(read_lines(file)), speech)
    text = speech.tokenizer.decode(whole.replies[0].ids)
    assert text.startswith(
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nEnvironment: ipython<|eot_id|>"
    )
    learned = [t for t, learn in zip(whole.replies[0].ids, whole.replies[0].learn, strict=True) if learn]
    assert speech.tokenizer.decode(learned) == "Hello.<|eot_id|>"
    assert speech.tokenizer.decode(chosen.replies[0].ids) == "Hello.<|eot_id|>"
    (row,) = preferences(list(read_lines(written(tmp_path, PAIR))), speech)
    assert (row.prompt, row.better) == (chosen.prompt, ((0, 1),))
    assert fitting([row], row.longest) == [row]
    assert fitting([row], row.longest - 1) == []


def test_replies_to_one_prompt_are_ranked_in_one_row(speech: Speech, tmp_path: Path) -> None:
    edited = {"role": "assistant", "content": "Hello, friend."}
    lines = [PAIR, {**PAIR, "chosen": [edited]}, {**PAIR, "chosen": [edited], "rejected": [GOOD]}]
    (row,) = ranked(preferences(list(read_lines(written(tmp_path, *lines))), speech))
    names = [speech.tokenizer.decode(reply.ids) for reply in row.replies]
    order = {(names[a].split("<")[0], names[b].split("<")[0]) for a, b in row.better}
    assert order == {("Hello.", "No"), ("Hello, friend.", "No"), ("Hello, friend.", "Hello.")}


Reader = Callable[[Sequence[Any], Speech], Any]


@pytest.mark.parametrize(
    ("data", "reader", "trouble"),
    [
        (("",), preferences, "There is nothing in"),
        ((PAIR, '{"prompt": [{"ro'), preferences, r"line 2 is no JSON \(is it torn\?\)"),
        (("[1]",), dialogs, "no JSON object"),
        (({"prompt": "<|im_start|>user", "chosen": "a", "rejected": "b"},), preferences, '"prompt" is a text'),
        (({**PAIR, "rejected": [GOOD]},), preferences, "are the same"),
        (({**PAIR, "chosen": []},), preferences, "does not begin with the assistant"),
        (({**PAIR, "chosen": [{"role": "bot", "content": "x"}]},), preferences, '"role" can\'t be'),
        (({"messages": [USER]},), dialogs, "says nothing"),
        (({"text": "x"},), dialogs, 'neither "messages" nor'),
        (({**PAIR, "functions": ["f"]},), preferences, '"functions" is no list'),
        (({**PAIR, "tools": "python"},), preferences, '"tools" is no list'),
        (({**PAIR, "chosen": [{**GOOD, "token_ids": [128009, 7]}]},), preferences, "another model's"),
    ],
)
def test_bad_files_get_one_sentence_and_a_hint(
    data: Sequence[Any], reader: Reader, trouble: str, speech: Speech, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=trouble) as caught:
        reader(list(read_lines(written(tmp_path, *data))), speech)
    assert caught.value.hint


def test_ids_of_another_model_can_be_left_aside(speech: Speech, tmp_path: Path) -> None:
    file = written(tmp_path, {**PAIR, "chosen": [{**GOOD, "token_ids": [128009, 7]}]})
    (row,) = preferences(list(read_lines(file)), replace(speech, afresh=True))
    assert speech.tokenizer.decode(row.replies[0].ids) == "Hello.<|eot_id|>"
    with pytest.raises(ConfigError, match="Can't read"):
        list(read_lines(tmp_path / "nothing"))


# ---- rounds


def test_a_round_trains_a_reward_model_and_lets_it_pick(nano: Checkpoint, tmp_path: Path) -> None:
    """It learns that "Hello." is better than "No", from prompts that it is not tested on."""
    here = Round(Plan(rounds=1), 1, tmp_path, ())
    folder = here.folder("samples/before")
    folder.mkdir(parents=True)
    lines = [{**PAIR, "prompt": [{"role": "user", "content": f"Hi, I am number {i}."}]} for i in range(48)]
    written(folder, *lines).rename(folder / "pairs.jsonl")
    told = here.reward(nano.path)
    assert told == {"reward accuracy": 1.0, "reward pairs": 10}
    assert here.reward(nano.path) == told  # from what is there
    good, bad = (outcome("", reply=text) for text in ("Hello.", "No"))
    every = samples(bad, good, outcome("empty reply", reply=""))
    every.outcomes[2] = replace(every.outcomes[2], dialog=Dialog((Message("user", "Hi"),)))
    speech = Speech(nano.load_tokenizer(), nano.dialect, 2048, afresh=True)
    every.outcomes[:2] = [replace(o, dialog=o.dialog.without_ids()) for o in every.outcomes[:2]]
    rewarded([every], speech, here.folder("reward"))
    assert every.rewards[1] > every.rewards[0] > every.rewards[2] == -math.inf


def test_the_table_of_rounds(tmp_path: Path) -> None:
    start, better = {"macro": 0.5, "categories": {}, "tasks": 2}, {"macro": 0.75, "categories": {}, "tasks": 2}
    rows = [{"round": 1, "yield": 0.9, "rate": 0.6, "start": start, "sft": better, "dpo": start, "goes on": "sft"}]
    tabulate(rows, tmp_path)
    assert json.loads((tmp_path / "rounds.json").read_text()) == rows
    assert (tmp_path / "rounds.md").read_text().splitlines()[
        2
    ] == "| 1 | 90.0% | 60.0% |  | 50.0% | 75.0% | 50.0% |  | sft |"
