"""The real python for many dialogs at a time: walled workers, and an answer kept for code that was run before.

A cell's output depends on the files and on the cells before it; K replies to one prompt mostly say the same.
"""

from collections.abc import Mapping
from typing import Any

from llamachat.evaluation.stubs import place_files
from llamachat.evaluation.tasks import Task
from llamachat.tools import Tool, ToolOutput
from llamachat.tools.python import PythonLimits, PythonSession

LIMITS = PythonLimits(seconds=5.0, cpu_seconds=5)


class Notebook:
    """Outputs by files and cells. ``ran`` counts the cells that were really run."""

    def __init__(self) -> None:
        self.asked = self.ran = 0
        self._known: dict[tuple[str, ...], ToolOutput] = {}
        self._spare = PythonSession(LIMITS)

    async def open(self) -> None:
        """Raises ConfigError or StorageError if python can't run here; keeps the process that forks workers."""
        await self._spare.look()

    async def close(self) -> None:
        """End the spare."""
        await self._spare.close()

    def tool(self, task: Task) -> Tool:
        """The python of one dialog: its variables last from cell to cell."""
        cells: list[str] = [repr(sorted(task.files.items()))]

        async def run(arguments: Mapping[str, Any]) -> ToolOutput:
            self.asked += 1
            cells.append(arguments["code"])
            key = tuple(cells)
            if key not in self._known:
                self._known[key] = await self._run(task, key[1:])
            return self._known[key]

        tool = self._spare.tool
        return Tool(tool.name, tool.description, tool.parameters, run, tool.wire, tool.wire_name)

    async def _run(self, task: Task, cells: tuple[str, ...]) -> ToolOutput:
        """The output of the last of ``cells``, all run in a fresh worker."""
        self.ran += 1
        session = PythonSession(LIMITS)
        try:
            place_files(task, session)
            for code in cells:
                output = await session.tool.run({"code": code})
            return ToolOutput(output.text, output.ok)
        finally:
            await session.close()
