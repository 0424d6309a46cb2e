"""The process that ``llamachat bench start`` measures: it says when its first id is there, then tells the rest.

Like a chat without options it does not load the command line.
"""

import asyncio
import json
import sys
from dataclasses import replace
from time import perf_counter
from typing import Any

LONG = 600  # ids of a long prompt
TOOL = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
QUESTION = "Tell me all you know about rivers, mountains and the sea."


def main() -> None:
    """A line with the first id, and one with the other figures."""
    from llamachat.config import Config
    from llamachat.opening import open_runtime

    settings = Config()
    runtime = open_runtime(replace(settings, cache=replace(settings.cache, disk_mb=0)))
    asyncio.run(_say(runtime, list(range(100, 120)), 1))
    print("first", flush=True)
    from llamachat.doors.bench_runtime import prompt, time_ours
    from llamachat.runtime import LlamaRuntime  # not before: it imports torch, and open_runtime knows how

    assert isinstance(runtime, LlamaRuntime)
    long = asyncio.run(time_ours(runtime, prompt(LONG, 2), 1)).first
    print(json.dumps([1000 * long, asyncio.run(_held(runtime)), _memory()]))


async def _say(runtime: Any, ids: list[int], number: int, constraint: Any = None) -> list[float]:
    """When each of ``number`` ids came."""
    from llamachat.sampling import SamplingParams

    times, sampling = list[float](), SamplingParams(1.0, seed=1, max_tokens=number)
    async for _ in runtime.generate(ids, sampling, (), constraint):
        times.append(perf_counter())
    return times


async def _held(runtime: Any) -> float:
    """Ids a second while each is held to the calls of python and a function."""
    from llamachat.constrain import Grammar
    from llamachat.messages import Dialog, Message
    from llamachat.offer import FunctionSpec, Offer, open_dialog
    from llamachat.protocol import encode_dialog

    offer = Offer(code=True, functions=(FunctionSpec("weather", "Tells the weather.", TOOL),))
    wire = open_dialog(Dialog((Message("user", QUESTION),)), offer, runtime.dialect)
    ids = encode_dialog(runtime.tokenizer, wire, runtime.dialect).ids
    times = await _say(runtime, ids, 200, Grammar(runtime.tokenizer, offer).constraint())
    return (len(times) - 1) / (times[-1] - times[0])


def _memory() -> float:
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
