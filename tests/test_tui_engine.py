"""An engine that fails under a real model: its turn ends with a sentence, the dialog stays, the next is answered."""

from typing import Any

import torch
from screen import make_app, say, shown, status, until
from torch import Tensor

from llamachat.paths import bundled_model
from llamachat.runtime import LlamaRuntime
from llamachat.steps import Steps


class Failing:
    """Steps that once run out of memory, in their ``at``-th pass."""

    def __init__(self, steps: Steps, at: int) -> None:
        self.steps, self.left, self.config, self.output = steps, at, steps.config, steps.output

    def hidden(self, *given: Any) -> Tensor:
        self.left -= 1
        if self.left == 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.steps.hidden(*given)


async def test_out_of_memory_in_the_middle_of_a_reply() -> None:
    runtime = LlamaRuntime.open(bundled_model(), device="cpu", threads=1)
    runtime._model = Failing(runtime._model, 4)
    runtime.speculative = False
    app = make_app(open_runtime=lambda _: runtime, tools=())
    async with app.run_test() as pilot:
        await until(pilot, lambda: "loading" not in status(app), 60)
        await say(pilot, "Hello!")
        await until(pilot, lambda: "not enough memory" in shown(app), 60)
        assert [message.role for message in app.dialog][-2:] == ["user", "assistant"]
        partial = app.dialog[-1]
        assert partial.token_ids  # what was said before is kept
        await say(pilot, "Who are you?")
        await until(pilot, lambda: len(app.dialog) >= 5 and "llamachat" in app.dialog[-1].text, 60)
    runtime.close()
