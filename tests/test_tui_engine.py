"""An engine that fails under a real model: its turn ends with a sentence, the dialog stays, the next is answered."""

import torch
from screen import make_app, say, shown, status, until

from llamachat.paths import bundled_model
from llamachat.runtime import LlamaRuntime


async def test_out_of_memory_in_the_middle_of_a_reply() -> None:
    runtime, left = LlamaRuntime.open(bundled_model(), device="cpu", threads=1), [4]

    def fail(*_: object) -> None:
        left[0] -= 1
        if not left[0]:
            hook.remove()
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    hook = runtime._model.layers[2].register_forward_pre_hook(fail)
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
