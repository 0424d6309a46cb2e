"""The python tool where Python and its libraries are installed in different places."""

import os
import subprocess
import venv
from pathlib import Path

import RestrictedPython

import llamachat


def test_it_runs_where_the_libraries_lie_in_a_users_own_folder(tmp_path: Path) -> None:
    """As after ``pip install --user``: an interpreter that finds them only through its environment."""
    site = str(Path(RestrictedPython.__file__).parent.parent)
    program = (
        "import asyncio\n"
        "from llamachat.tools.python import python_tool\n"
        "tool = python_tool()\n"
        "async def main():\n"
        "    print((await tool.run({'code': '6 * 7'})).text)\n"
        "    await tool.close()\n"
        "asyncio.run(main())\n"
    )
    venv.create(tmp_path / "bare", with_pip=False)
    search = os.pathsep.join([str(Path(llamachat.__file__).parent.parent), site])
    python = tmp_path / "bare" / "bin" / "python"
    done = subprocess.run(
        [python, "-c", program], env={"PYTHONPATH": search}, capture_output=True, text=True, check=False
    )
    assert done.stdout == "completed\n[stdout]\n42\n[/stdout]\n", done.stderr
