import json
import signal
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import Gambler, oracle
from pydantic import TypeAdapter
from typer.testing import CliRunner

from llamachat.cli import app
from llamachat.doors.eval import chosen, conduct, load
from llamachat.errors import ConfigError, EngineError, StorageError
from llamachat.evaluation.matching import contains, same
from llamachat.evaluation.report import Rate, Report
from llamachat.evaluation.run import Outcome, Settings, evaluate, hold, places
from llamachat.evaluation.scoring import problem
from llamachat.evaluation.tasks import Call, Expect, Function, Return, Task, Turn, read_tasks
from llamachat.evaluation.trajectories import Trajectories
from llamachat.messages import MessageEnd, TurnEnd
from llamachat.testing import ScriptedRuntime, recorded

DATA = Path(__file__).parent / "data" / "eval"
LOOK = Function("look", "Look.", {"type": "object", "properties": {"at": {"type": "string"}, "n": {"default": 1}},
                "required": ["at"]}, (Return({"at": "x"}, {"seen": 7}),))  # fmt: skip
ASK = Turn("The question", Expect(answer_any=("7",)))


def task(turn: Turn = ASK, **changes: Any) -> Task:
    return replace(Task("a", "look", (turn,), functions=(LOOK,)), **changes)


@pytest.fixture(scope="module")
def public() -> tuple[Task, ...]:
    return read_tasks(DATA / "public.jsonl")


# ---- scoring


def test_verdicts_are_those_of_the_reference() -> None:
    """1,000 random turns; a scorer that says always yes, or always no, fails hundreds of them."""
    functions, turns = TypeAdapter(tuple[Function, ...]), TypeAdapter(Turn)
    wrong = []
    for line in (DATA / "verdicts.jsonl").read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        turn = turns.validate_json(json.dumps(case["turn"]))
        judged = task(turn, functions=functions.validate_json(json.dumps(case["functions"])))
        reason = problem(judged, turn, case["reply"], [Call(c["name"], c["arguments"]) for c in case["calls"]])
        wrong += [line] if (not reason) != case["passed"] else []
    assert wrong == []


@pytest.mark.parametrize(
    ("reply", "needle", "found"),
    [
        ("It is 5021.", "5021", True),
        ("It is 15021.", "5021", False),
        ("It is 50210.", "5021", False),
        ("It is 5,021.0", "5021", True),
        ("about 6.66667", "6.67", True),
        ("about 6.6", "6.67", False),
        ("-3 degrees", "3", False),
        ("3 - 3", "-3", False),
        ("in 1.5021", "5021", False),
        ("The Pacific ocean", "pacific", True),
        ("terrific", "pacific", False),
        ("4pacific", "pacific", True),
        ("I don’t know", "don't know", True),
        ("on 12 Maybe", "12 May", True),
        ("on 112 May", "12 May", False),
        ("$5.00", "5", True),
    ],
)
def test_needles(reply: str, needle: str, found: bool) -> None:
    assert contains(reply, needle) is found


NUMBERS = st.integers(-(10**9), 10**9)


@given(NUMBERS, st.integers(0, 9))
def test_a_number_is_found_however_it_is_written_and_never_in_a_longer_one(number: int, digit: int) -> None:
    for shown in (f"{number}", f"{number:,}", f"{number}.0", f"{number:,}.00"):
        assert contains(f"It is {shown}.", str(number))
    assert not contains(f"It is {number}{digit}", str(number)) or number == 0 == digit
    assert not contains(f"It is {abs(number)}.{digit}1", str(abs(number)))


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 10**5 - 1))
def test_a_longer_decimal_is_rounded(whole: int, places: int, fraction: int) -> None:
    exact = f"{whole}.{fraction:05}"
    assert contains(f"It is {exact}", f"{float(exact):.{places}f}")
    assert not contains(f"It is {exact}", f"{float(exact) + 2 * 10.0**-places:.{places}f}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("aB .!", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=1), inner, max_size=2),
    max_leaves=5,
)


def louder(value: Any) -> Any:
    """The same in another spelling."""
    if isinstance(value, str):
        return f" {value.strip().upper()}!"
    if isinstance(value, list):
        return [louder(item) for item in value]
    if isinstance(value, dict):
        return {key: louder(item) for key, item in value.items()}
    return float(value) if type(value) is int else value


@given(JSON)
def test_spelling_of_arguments_does_not_matter(value: Any) -> None:
    assert same(value, louder(value))
    assert same(louder(value), value)
    assert not same(value, [value])


def test_truth_is_no_number_and_huge_integers_are_no_floats() -> None:
    assert not same(True, 1)
    assert not same(10**400, 1.5)


@given(st.permutations(["x", "y", "z"]), st.booleans(), st.integers(0, 2))
def test_calls_in_any_order_unless_it_matters(order: list[str], ordered: bool, again: int) -> None:
    expect = Expect(calls=tuple(Call("look", {"at": at}) for at in "xyz"), ordered=ordered)
    made = [Call("look", {"at": at, "n": 1}) for at in order]
    made.append(made[again])  # trying once more is free for what has failed: all but x
    passed = order[again] != "x" and (not ordered or order == ["x", "y", "z"])
    assert (problem(task(), Turn("?", expect), "ok", made) == "") is passed


@pytest.mark.parametrize(
    ("expect", "reply", "calls", "reason"),
    [
        (Expect(no_call=True), "Hi", [], ""),
        (Expect(no_call=True), "Hi", [Call("look", {"at": "x"})], "unexpected call"),
        (Expect(calls=(Call("look", {"at": "X."}),)), "ok", [Call("look", {"at": "x", "n": 1})], ""),
        (Expect(calls=(Call("look", {"at": "x"}),)), "ok", [Call("look", {"at": "x", "n": ""})], ""),
        (Expect(calls=(Call("look", {"at": "x"}),)), "ok", [Call("look", {"at": "y"})], "no such call of look"),
        (Expect(calls=()), "ok", [Call("look", {"at": "x"})] * 2, "2 function calls instead of 0"),
        (Expect(calls=()), "ok", [Call("python")], ""),
        (Expect(calls=(Call("python"),)), "ok", [], "python not called"),
        (Expect(answer_any=("1", "2")), "2", [], ""),
        (Expect(answer_all=("1", "2")), "1 and 3", [], "answer_all"),
        (Expect(answer_none=("moo",)), "Smoother", [], "answer_none"),
        (Expect(max_words=2), "one two three", [], "max_words"),
        (Expect(regex="^[A-Z]+$"), "Hi", [], "regex"),
        (Expect(), " ", [], "empty reply"),
        (Expect(), "the question?", [], "echo of the question"),
        (Expect(), "<|eot_id|>", [], "special token in the reply"),
    ],
)
def test_verdicts(expect: Expect, reply: str, calls: list[Call], reason: str) -> None:
    assert problem(task(), Turn("The question", expect), reply, calls) == reason


# ---- reading


def test_the_public_tasks_can_be_read(public: tuple[Task, ...]) -> None:
    assert (len(public), len({task.category for task in public})) == (62, 13)


GOOD = {"id": "a", "category": "c", "turns": [{"user": "hi"}]}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 3: Invalid JSON"),
        ("[]", "line 3: "),
        (json.dumps({**GOOD, "turns": [{"user": "hi", "expect": {"answer_anny": ["x"]}}]}), "answer_anny"),
        (json.dumps({**GOOD, "turns": [{"user": "hi", "expect": {"max_words": "5"}}]}), "turns[0].expect.max_words"),
        (json.dumps({**GOOD, "turns": [{"user": "hi", "expect": {"regex": "("}}]}), "the regex is wrong"),
        (json.dumps({**GOOD, "turns": [{"user": "hi", "expect": {"answer_all": [""]}}]}), "answer is empty"),
        (json.dumps({**GOOD, "turns": []}), "needs an id, a category and a turn"),
        (json.dumps({**GOOD, "tools": ["email"]}), "tools[0]"),
        (json.dumps({**GOOD, "files": {"../x": ""}}), "can't be called '../x'"),
        (json.dumps({**GOOD, "functions": [{"name": "python", "description": "", "parameters": {}}]}), "is taken"),
        (json.dumps({**GOOD, "functions": [{"name": "f", "description": "", "parameters": {"type": 3}}]}), "schema"),
        (json.dumps({**GOOD, "id": "first"}), "a task 'first' already"),
    ],
)
def test_a_bad_line_is_named(line: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text(f"{json.dumps({**GOOD, 'id': 'first'})}\n\n{line}\n")
    with pytest.raises(ConfigError) as raised:
        read_tasks(file)
    assert "line 3" in raised.value.message
    assert says in raised.value.message
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("content", [None, b"\n\n", b"\xff"])
def test_what_is_no_file_of_tasks(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "t").write_bytes(content)
    with pytest.raises(ConfigError):
        read_tasks(tmp_path / "t")


# ---- holding


async def results(tasks: Sequence[Task], runtime: Any) -> Report:
    outcomes: list[Outcome] = []
    await evaluate(tasks, runtime, Settings(), outcomes.append)
    return Report(outcomes)


@pytest.mark.parametrize("name", ["public", "read", "unread", "sums"])
async def test_an_oracle_solves_all(name: str) -> None:
    tasks = read_tasks(DATA / f"{name}.jsonl")
    report = await results(tasks, oracle(tasks))
    assert [outcome.task.id for outcome in report.outcomes if not outcome.passed] == []
    assert report.macro == 1.0


async def test_who_calls_at_random_solves_nothing(public: tuple[Task, ...]) -> None:
    assert (await results(public, Gambler(1))).macro < 0.05


async def test_files_lie_in_the_folder_of_python_and_variables_stay() -> None:
    turns = (Turn("Read.", Expect(calls=(Call("python"),))), Turn("Again.", Expect(answer_any=("3",))))
    code = ["<|python_tag|>n = len(open('a.txt').read())<|eom_id|>", "Done<|eot_id|>", "<|python_tag|>n<|eom_id|>"]
    runtime = ScriptedRuntime([*code, "It is 3<|eot_id|>"])
    outcome = await hold(Task("a", "b", turns, tools=("python",), files={"a.txt": "abc"}), runtime)
    assert outcome.passed
    assert "[stdout]\n3\n" in outcome.dialog[6].text


async def test_a_failed_turn_does_not_end_the_task_and_a_failed_engine_fails_only_its_own() -> None:
    turn, other = Turn("One", Expect(answer_any=("1",))), Turn("Two", Expect(answer_any=("2",)))
    tasks = [Task("a", "b", (turn, other)), Task("c", "d", (turn,))]
    runtime = ScriptedRuntime(["no<|eot_id|>", "2<|eot_id|>", [EngineError("It broke.")]])
    report = await results(tasks, runtime)
    assert [[turn.reason for turn in outcome.turns] for outcome in report.outcomes] == [
        ["answer_any", ""],
        ["It broke."],
    ]


def test_tasks_are_held_at_once_only_where_the_runtime_can() -> None:
    runtime = ScriptedRuntime([])
    assert places(runtime, 8) == 1
    runtime.parallel = 3  # type: ignore[attr-defined]
    assert places(runtime, 8) == 3


# ---- reports


@pytest.mark.parametrize(
    ("rate", "low", "high"),
    [
        (Rate(0, 20), 0.0, 0.1611),  # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (Rate(1, 29), 0.0061, 0.1718),
        (Rate(15, 148), 0.0624, 0.1605),
        (Rate(81, 263), 0.2553, 0.3662),
        (Rate(20, 20), 0.8389, 1.0),
    ],
)
def test_intervals_are_wilsons(rate: Rate, low: float, high: float) -> None:
    assert rate.interval == pytest.approx((low, high), abs=6e-5)


async def test_the_json_has_the_documented_form() -> None:
    runtime = ScriptedRuntime(
        ['{"name": "look", "parameters": {"at": "x"}}<|eom_id|>', "It is 7<|eot_id|>", "8<|eot_id|>"]
    )
    report = (await results([task(), task(id="b", category="other")], runtime)).to_json()
    assert report["categories"] == {
        "look": {"passed": 1, "total": 1, "rate": 1.0},
        "other": {"passed": 0, "total": 1, "rate": 0.0},
    }
    assert report["macro"] == 0.5
    first, second = report["tasks"]
    calls = [{"name": "look", "arguments": {"at": "x"}}]
    turn = {"passed": True, "reason": "", "reply": "It is 7", "calls": calls}
    assert first == {"id": "a", "category": "look", "passed": True, "turns": [turn]}
    assert (second["passed"], second["turns"][0]["reason"]) == (False, "answer_any")
    assert report["protocol"] == {"passed": 3, "total": 3, "rate": 1.0}


@pytest.mark.parametrize(
    "said",
    [
        '{"name": "look", "parameters": {"at": <|eom_id|>',  # a call that nobody can read
        "The answer is<|eom_id|>",  # the other end token
        "The answer",  # none
        "<|eot_id|>",  # and nothing said
    ],
)
async def test_messages_that_break_the_protocol_are_counted(said: str) -> None:
    report = await results([task()], ScriptedRuntime([said, "7<|eot_id|>"]))
    assert report.protocol.total - report.protocol.passed == 1


async def test_trajectories_can_be_replayed(tmp_path: Path) -> None:
    one = task(Turn("The question", Expect(calls=(Call("look", {"at": "x"}),))), id="a/b", turns=(ASK, ASK))
    runtime = ScriptedRuntime(['{"name": "look", "parameters": {"at": "x"}}<|eom_id|>', "7<|eot_id|>", "7<|eot_id|>"])
    outcome = await hold(one, runtime)
    Trajectories(tmp_path / "new").add(outcome)
    events = recorded(tmp_path / "new" / "a%2Fb.jsonl")
    assert tuple(events) == outcome.events
    assert sum(isinstance(event, TurnEnd) for event in events) == 2
    said = [event.message.text for event in events if isinstance(event, MessageEnd)]
    whole = json.loads((tmp_path / "new" / "a%2Fb.json").read_text())
    assert [message["content"] for message in whole["messages"] if message["role"] != "user"] == said
    assert TypeAdapter(Task).validate_json(json.dumps(whole["task"])) == one


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        Trajectories(tmp_path / "file" / "x")


# ---- the door


def test_tasks_are_chosen_by_id_and_category(public: tuple[Task, ...]) -> None:
    assert len(chosen(public, None, "json_single, persona")) == 12
    assert [task.id for task in chosen(public, "pub-calc-001,pub-par-002", None)] == ["pub-calc-001", "pub-par-002"]
    for only, category in (("nope", None), (None, "nope"), ("pub-calc-001", "persona")):
        with pytest.raises(ConfigError):
            chosen(public, only, category)
    with pytest.raises(ConfigError):
        load(None, None, 1, 0)


class Impatient(ScriptedRuntime):
    """Whose user presses Ctrl-C when the second reply begins."""

    async def generate(self, *arguments: Any) -> AsyncGenerator[int, None]:
        if self.prompts:
            signal.raise_signal(signal.SIGINT)
        async for token_id in super().generate(*arguments):
            yield token_id


def test_ctrl_c_tells_of_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [task(id=name) for name in "abc"]
    kept: list[Outcome] = []
    code = conduct(tasks, Impatient(["7<|eot_id|>"] * 3), Settings(), "json", kept.append)
    out, err = capsys.readouterr()
    assert code == 130
    assert [found["id"] for found in json.loads(out)["tasks"]] == ["a"] == [outcome.task.id for outcome in kept]
    assert "1 of 3" in err


def test_the_report_names_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert conduct([task(), task(id="b\x1b[0m")], ScriptedRuntime(["7<|eot_id|>", "8<|eot_id|>"]), Settings(), "text",
                   lambda outcome: None) == 0  # fmt: skip
    out = capsys.readouterr().out
    assert "look               1/2   50.0%   9% … 91%\n" in out
    assert "macro average            50.0%\n" in out
    assert "b␛[0m: answer_any" in out


def test_the_embedded_model_is_evaluated(tmp_path: Path) -> None:
    """Through the command line: nano, the real python, a generated split, trajectories."""
    file = tmp_path / "tasks.jsonl"
    turn = {"user": "What is 173 * 29?", "expect": {"answer_any": ["5017"], "calls": [{"name": "python"}]}}
    file.write_text(json.dumps({"id": "a", "category": "python_arith", "tools": ["python"], "turns": [turn]}))
    runner = CliRunner()
    done = runner.invoke(app, ["eval", str(file), "--output", "json", "--jobs", "2", "--trajectories", str(tmp_path)])
    assert (done.exit_code, json.loads(done.stdout)["macro"]) == (0, 1.0)
    assert "one by one" in done.stderr
    assert [event.kind for event in recorded(tmp_path / "a.jsonl")][-1] == "turn_end"
    done = runner.invoke(app, ["eval", "--split", "unseen-both", "--count", "26", "--category", "smalltalk_knowledge"])
    assert done.exit_code == 0
    assert "smalltalk_knowledge" in done.stdout
