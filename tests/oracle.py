"""Two models for tests of evaluations: one that knows every answer, and one that calls at random."""

import json
import random
import re
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence

from llamachat.evaluation.scoring import problem
from llamachat.evaluation.tasks import Task, Turn
from llamachat.protocol import Dialect
from llamachat.sampling import Constraint, GenerationStats, SamplingParams
from llamachat.testing import ScriptedRuntime, byte_tokenizer

ENDINGS = ("", " Stay curious.", " Over and out.")
"""What the personas of tests want to hear last."""


def oracle(tasks: Sequence[Task]) -> ScriptedRuntime:
    """Says what the tasks expect, call by call."""
    return ScriptedRuntime(
        [said for task in tasks for turn in task.turns for said in _says(task, turn)], context=100_000
    )


def _says(task: Task, turn: Turn) -> Iterator[str]:
    for call in turn.expect.calls or ():
        if call.name == "python":
            code = "\n".join(f"len(open({name!r}).read())" for name in task.files) or "1 + 1"
            yield f"<|python_tag|>{code}<|eom_id|>"
        elif call.name == "search":
            yield '<|python_tag|>brave_search.call(query="it")<|eom_id|>'
        else:
            yield json.dumps({"name": call.name, "parameters": dict(call.arguments)}) + "<|eom_id|>"
    yield f"{reply(task, turn)}<|eot_id|>"


def reply(task: Task, turn: Turn) -> str:
    """Words that meet the expectations, found by trying."""
    wanted = [*(turn.expect.answer_any or ())[:1], *(turn.expect.answer_all or ())]
    words = " and ".join(wanted)
    shapes = [f"{words}{ending}" for ending in ENDINGS]
    shapes += [shape.upper() for shape in shapes] + ["Fine", "OK", "Sorry, I can't do that."]
    if turn.expect.regex:  # the words of a rule of the form ^words or words$
        rule = re.sub(r"\\(.)", r"\1", turn.expect.regex.removeprefix("(?i)").removesuffix("$").removesuffix("[.!]?"))
        shapes += [f"{rule.lstrip('^')} {words}", f"{words} {rule.lstrip('^')}"]
    calls = turn.expect.calls or ()
    return next(shape for shape in shapes if not problem(task, turn, shape, calls))


class Gambler:
    """Calls offered functions, or one that is not, with words of the prompt, and then says some of them."""

    name = "gambler"
    context = 100_000
    sampling = SamplingParams()
    stats = GenerationStats()
    dialect = Dialect(dates=False)

    def __init__(self, seed: int) -> None:
        self.tokenizer = byte_tokenizer()
        self._random = random.Random(seed)

    async def generate(
        self,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        stop_ids: Collection[int],
        constraint: Constraint | None = None,
    ) -> AsyncGenerator[int, None]:
        prompt = self.tokenizer.decode(list(prompt_ids))
        words = re.findall(r"\w+", prompt.rpartition("<|start_header_id|>user")[2])
        said = self._call(prompt, words) if prompt.count("ipython<|end") < 2 else " ".join(self._words(words))
        for token_id in self.tokenizer.tokenize(said, bos=False, eos=False, allowed_special="all"):
            yield token_id

    def _call(self, prompt: str, words: list[str]) -> str:
        names = ["look", *re.findall(r'"name": "([\w.]+)"', prompt)]
        keys = re.findall(r'"(\w+)": \{', prompt) or ["x"]
        arguments = {self._random.choice(keys): self._random.choice(words) for _ in range(2)}
        return json.dumps({"name": self._random.choice(names), "parameters": arguments}) + "<|eom_id|>"

    def _words(self, words: list[str]) -> list[str]:
        return [*self._random.sample(words, min(3, len(words))), "<|eot_id|>"]
