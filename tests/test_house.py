"""The house itself: its plan on the README, its floors, its weight at the door."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import llamachat

ROOT = Path(llamachat.__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Folders whose files come by the dozen are one line in the tree.
WHOLE = ("tests", "llamachat/training/phrases", "llamachat/bundled/nano")


def tree() -> dict[str, str]:
    """Path → what the README says of it, from the indented listing under "The house"."""
    block = README.split("## The house", 1)[1].split("```")[1]
    found: dict[str, str] = {}
    parents: list[str] = []
    for line in block.strip().splitlines():
        indent, name, words = re.fullmatch(r"( *)(\S+) *(.*)", line).groups()  # type: ignore[union-attr]
        parents[len(indent) // 2 :] = [name.rstrip("/")]
        found["/".join(parents)] = words
    return found


def on_disk() -> set[str]:
    """Files of ours: nothing hidden but CI, nothing that tools leave behind."""
    left = re.compile(r"(^|/)(\.(?!ci/)|__pycache__|\w+\.egg-info|runs|build|dist|venv|snapshot_report)")
    paths = (path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file())
    files = {path for path in paths if not left.search(path)}
    return {next((whole for whole in WHOLE if path.startswith(whole + "/")), path) for path in files}


def test_the_readme_tree_is_the_disk() -> None:
    drawn = tree()
    folders = {str(Path(path).parent) for path in drawn}
    assert set(drawn) - folders == on_disk() - folders
    assert [path for path, words in drawn.items() if not words and path not in folders] == []


def test_the_two_lines_stand_on_top_of_the_readme() -> None:
    first = README.split("```")[1]
    assert first.strip().splitlines()[1:] == ["pip install -e . && llamachat", "pip install -e '.[test]' && pytest"]


def test_every_file_opens_with_what_it_knows() -> None:
    for path in sorted((ROOT / "llamachat").rglob("*.py")):
        assert path.read_text(encoding="utf-8").startswith(('"""', 'r"""')), path


def test_no_file_is_too_long() -> None:
    long = {p.name: n for p in ROOT.glob("**/*.py") if "venv" not in str(p) and (n := p.read_text().count("\n")) > 400}
    assert long == {}


def test_the_version_is_the_changelogs() -> None:
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert newest is not None
    assert llamachat.__version__ == newest[1] == project["version"]


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("llamachat.cli", ["torch", "textual", "transformers"]),
        ("llamachat.agent", ["torch", "textual", "transformers"]),
        ("llamachat.plain", ["torch", "textual"]),
        (
            "llamachat.tui",
            ["torch", "safetensors", "pydantic", "typer", "markdown_it", "pygments", "PIL", "jsonschema"],
        ),
        ("llamachat.start", ["torch", "textual", "typer", "pydantic"]),
        ("llamachat.runtime", ["textual"]),
    ],
)
def test_importing_stays_light(module: str, absent: list[str]) -> None:
    code = f"import sys, {module}; print([m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
