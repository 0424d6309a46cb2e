"""Runs evaluation tasks headless through the product's own loop and python tool, and reports pass rates.

``python -m llamachat.training.evaluate tasks.jsonl [--model DIR] [--constrained on] [--output json] [--verbose]``
Functions and the search are answered from the task. A task passes when each of its turns does.
"""

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llamachat.agent import run_turn
from llamachat.messages import Dialog, Message, MessageEnd, ToolStart
from llamachat.protocol import BUILTIN_TOOLS, CODE_INTERPRETER
from llamachat.runtime import LlamaRuntime
from llamachat.sampling import SamplingParams
from llamachat.tools import Tool, Toolbox, ToolOutput
from llamachat.tools.python import PythonSession
from llamachat.training.scoring import answer_of, problem

BUNDLED = Path(__file__).parents[1] / "bundled" / "nano"
GREEDY = SamplingParams(temperature=0.0, max_tokens=300)


@dataclass(slots=True)
class Outcome:
    """A task's verdict: ``reason`` is empty if it passed; ``log`` is what was said and called."""

    id: str
    category: str
    reason: str = ""
    log: list[str] = field(default_factory=list)


def function_tool(functions: Sequence[Mapping[str, Any]], spec: Mapping[str, Any]) -> Tool:
    """A function of the task, answered by its ``returns``."""

    async def run(arguments: Mapping[str, Any]) -> ToolOutput:
        value = answer_of(functions, {"name": spec["name"], "arguments": arguments})
        failed = isinstance(value, dict) and "error" in value
        return ToolOutput(json.dumps(value, ensure_ascii=False), not failed)

    return Tool(spec["name"], spec["description"], spec["parameters"], run)


def search_tool(corpus: Sequence[Mapping[str, str]]) -> Tool:
    """A search that finds every document of the task, whatever the query."""

    async def run(_: Mapping[str, Any]) -> ToolOutput:
        found = [{"title": doc["title"], "url": doc["url"], "text": doc["body"]} for doc in corpus]
        return ToolOutput(json.dumps(found, ensure_ascii=False))

    query = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    return Tool("search", "Searches the web.", query, run, "builtin", "brave_search")


async def run_task(task: Mapping[str, Any], runtime: LlamaRuntime, constrained: bool | None = None) -> Outcome:
    """Hold the dialog of one task; ``constrained`` as in ``run_turn``."""
    outcome = Outcome(task["id"], task["category"])
    session = PythonSession()
    tools = [function_tool(task["functions"], spec) for spec in task["functions"]]
    if "python" in task["tools"]:
        tools.append(session.tool)
        for name, text in task["files"].items():
            (session.scratch / name).write_text(text)
    if "search" in task["tools"]:
        tools.append(search_tool(task["search_corpus"]))
    dialog = Dialog((Message("system", task["persona"]),) if task["persona"] else ())
    try:
        for turn in task["turns"]:
            dialog += Message("user", turn["user"])
            dialog, reply, calls = await _answer(dialog, runtime, Toolbox(tuple(tools)), outcome, constrained)
            outcome.reason = problem(task["functions"], turn, reply, calls)
            if outcome.reason:
                break
    finally:
        await session.close()
    return outcome


async def _answer(
    dialog: Dialog, runtime: LlamaRuntime, toolbox: Toolbox, outcome: Outcome, constrained: bool | None
) -> tuple[Dialog, str, list[dict[str, Any]]]:
    calls: list[dict[str, Any]] = []
    reply = ""
    outcome.log.append(f"user: {dialog[len(dialog) - 1].text}")
    async for event in run_turn(dialog, runtime, toolbox, sampling=GREEDY, constrained=constrained):
        if isinstance(event, ToolStart):
            name = event.call.name
            name = "python" if name == CODE_INTERPRETER else "search" if name in BUILTIN_TOOLS else name
            calls.append({"name": name, "arguments": dict(event.call.arguments)})
        elif isinstance(event, MessageEnd):
            dialog += event.message
            said = event.message.text or str([(call.name, dict(call.arguments)) for call in event.message.tool_calls])
            outcome.log.append(f"{event.message.role}: {said}")
            if event.message.role == "assistant":
                reply = event.message.text
    return dialog, reply, calls


async def run_all(tasks: Sequence[Mapping[str, Any]], model: Path, constrained: bool | None = None) -> list[Outcome]:
    """Hold all dialogs, one after the other, greedily."""
    runtime = LlamaRuntime.open(model, threads=1)
    try:
        return [await run_task(task, runtime, constrained) for task in tasks]
    finally:
        runtime.close()


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Pass rate by category, and their unweighted mean."""
    by: dict[str, list[bool]] = {}
    for outcome in outcomes:
        by.setdefault(outcome.category, []).append(not outcome.reason)
    rates = {category: sum(passed) / len(passed) for category, passed in sorted(by.items())}
    return {"categories": rates, "macro": sum(rates.values()) / len(rates), "tasks": len(outcomes)}


def main() -> None:
    """Evaluate a model on a file of tasks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("--model", type=Path, default=BUNDLED)
    parser.add_argument("--constrained", choices=("auto", "on", "off"), default="auto", help="hold calls to the offer")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.add_argument("--verbose", action="store_true", help="show the dialogs that failed")
    options = parser.parse_args()
    tasks = [json.loads(line) for line in options.tasks.read_text().splitlines() if line]
    constrained = {"auto": None, "on": True, "off": False}[options.constrained]
    outcomes = asyncio.run(run_all(tasks, options.model, constrained))
    report = summary(outcomes)
    if options.output == "json":
        print(json.dumps({**report, "failed": {o.id: o.reason for o in outcomes if o.reason}}, indent=2))
        return
    for outcome in outcomes:
        if outcome.reason:
            print(f"{outcome.id}: {outcome.reason}")
            if options.verbose:
                print("\n".join(f"    {line}" for line in outcome.log))
    for category, rate in report["categories"].items():
        print(f"{category:24} {rate:6.1%}")
    print(f"{'macro average':24} {report['macro']:6.1%}")


if __name__ == "__main__":
    main()
