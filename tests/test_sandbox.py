"""The walls: hostile cells as real processes, with the policy and without, for each kind of walls that is here."""

import ast
import asyncio
import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import llamachat
from llamachat.doors import bench
from llamachat.errors import ConfigError
from llamachat.tools import sandbox
from llamachat.tools.python import PythonSession
from llamachat.tools.walls import namespaces

HERE = Path(__file__).parent
PUBLIC, OWN = HERE / "data/sandbox/hostile_public.jsonl", HERE / "data/sandbox/hostile.jsonl"
FOUND = {layer.name for layer in sandbox.layers() if layer.on}
KINDS = [kind for kind, layer in (("auto", "seccomp"), ("bubblewrap",) * 2, ("namespaces",) * 2) if layer in FOUND]
KINDS += ["landlock"] if {"landlock", "seccomp"} <= FOUND else []
ROOT = os.geteuid() == 0
LIBC = ctypes.CDLL(None, use_errno=True)


def as_nobody() -> None:
    """Become an ordinary user who can read Python and us, wherever they lie: in a mount namespace of our own."""
    assert LIBC.unshare(0x20000) == 0
    assert LIBC.mount(b"none", b"/", None, 0x4000 | 0x40000, None) == 0
    places = [Path(place) for place in (sys.base_prefix, sys.prefix, Path(llamachat.__file__).parents[1])]
    held = [(place, os.open(place, os.O_PATH), list(os.scandir(place))) for place in places]
    for place, folder, entries in held:
        shut = next((p for p in (*reversed(place.parents), place) if p.exists() and not p.stat().st_mode & 1), None)
        if shut is not None:
            assert LIBC.mount(b"tmpfs", str(shut).encode(), b"tmpfs", 0, b"mode=755") == 0
        if shut is not None or not place.exists():
            fill(place, folder, entries)
    os.setgroups([])
    os.setresgid(*[namespaces.NOBODY] * 3)
    os.setresuid(*[namespaces.NOBODY] * 3)


def fill(place: Path, folder: int, entries: list[os.DirEntry[str]]) -> None:
    """Make ``place`` a folder that all may enter, with what is in ``folder``: a mount has the mode of what it shows."""
    place.mkdir(parents=True, exist_ok=True)
    for entry in entries:
        target = place / entry.name
        if entry.is_symlink():
            target.symlink_to(os.readlink(entry.name, dir_fd=folder))
            continue
        target.mkdir() if entry.is_dir() else target.touch()
        source = f"/proc/self/fd/{folder}/{entry.name}".encode()
        assert LIBC.mount(source, str(target).encode(), None, 0x1000 | 0x4000, None) == 0


USERS: dict[str, Callable[[], None] | None] = {"as we are": None} | ({"nobody": as_nobody} if ROOT else {})


@pytest.fixture
def prison(tmp_path: Path) -> Path:
    """A copy of the runner and the corpora that every user can read."""
    for file in (HERE / "jail.py", PUBLIC, OWN):
        shutil.copy(file, tmp_path)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o011)
    return tmp_path


def contained(prison: Path, kind: str, policy: str, corpus: Path, user: str) -> None:
    command = [sys.executable, str(prison / "jail.py"), kind, policy, str(prison / corpus.name)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(llamachat.__file__).parents[1])}
    environment |= {"HOME": "/nonexistent", "LLAMACHAT_MPLCACHE": "/proc/none"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", preexec_fn=USERS[user])
    assert done.returncode == 0, done.stderr[-2000:]
    verdict = json.loads(done.stdout)
    assert len(verdict) == len(corpus.read_text().splitlines()) + 1
    assert {case: violations for case, violations in verdict.items() if violations} == {}


@pytest.mark.parametrize(
    ("kind", "user"),
    [(kind, user) for kind in KINDS for user in USERS if kind in ("auto", "namespaces") or user == [*USERS][-1]],
)
def test_each_kind_of_walls_holds_without_the_policy(prison: Path, kind: str, user: str) -> None:
    contained(prison, kind, "bare", PUBLIC, user)


def test_the_strongest_walls_hold_against_many_attacks_without_the_policy(prison: Path) -> None:
    contained(prison, "auto", "bare", OWN, [*USERS][-1])


def test_walls_and_policy_together_let_nothing_be_reached(prison: Path) -> None:
    contained(prison, "auto", "policy", PUBLIC, [*USERS][-1])


def test_something_holds_here() -> None:
    assert {"limits", "policy"} < FOUND
    assert KINDS != []


SNIPPETS = (
    "import os", "os.fork()", "os.kill(-1, 9)", "os.close(4)", "os.close(3)", "os.write(4, b'x')", "os.dup2(3, 4)",
    "open('/etc/passwd').read()", "os.symlink('/etc/passwd', 'l')", "open('f', 'wb').write(b'x' * 10**7)",
    "import sys; sys.modules.clear()", "import ctypes; ctypes.string_at(0)", "os._exit(3)", "raise SystemExit",
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)", "x = [0] * 10**10", "os.write(1, b'y' * 10**5)",
    "import threading; threading.Thread(target=print).start()", "import socket; socket.socket()", "os.chdir('/')",
    "import builtins; builtins.len = None", "os.set_blocking(3, False)", "os.mkfifo('p')", "os.abort()",
    "import json; json.dumps = None", "os.closerange(0, 99)", "del os", "1 / 0", "print('\\ud800')", "os.unlink('f')",
)  # fmt: skip


@given(st.lists(st.sampled_from(SNIPPETS), min_size=1, max_size=6))
@settings(max_examples=int(os.environ.get("LLAMACHAT_EXAMPLES", "100")), deadline=None)
def test_whatever_is_composed_of_attacks_the_session_lives_on(snippets: list[str]) -> None:
    cell = "\n".join(f"try:\n    {line}\nexcept BaseException as e:\n    print(type(e))" for line in snippets)

    async def live() -> None:
        await WALLED.run(cell)
        alive = await WALLED.run("print('ali' 've')")
        assert alive.stdout.endswith("alive\n"), alive
        seen = await WALLED.run("import os; [os.path.exists(p) for p in ('/etc/passwd', '/proc/self')]")
        assert seen.value in ("[False, False]", None), seen

    asyncio.run(live())


WALLED = PythonSession(policy=False)


def test_cells_deaths_and_dialogs_leave_nothing_behind() -> None:
    """The same with ``--cells 10000 --deaths 1000 --dialogs 200`` takes a quarter of an hour: bench/README.md."""
    done = CliRunner().invoke(bench.app, ["soak", "--cells", "300", "--deaths", "12", "--dialogs", "20", "--json"])
    found = json.loads(done.stdout)
    assert done.exit_code == 0, found
    assert found["20 dialogs"]["processes"] > 20
    assert found["all closed"]["descriptors"] <= found["before"]["descriptors"]


CROWD = """
import asyncio, os
from llamachat.errors import StorageError
from llamachat.tools.python import PythonSession

async def main():
    before = len(os.listdir("/proc/self/fd"))
    sessions = [PythonSession() for _ in range(30)]
    results = await asyncio.gather(*(session.run("1 + 1") for session in sessions), return_exceptions=True)
    await asyncio.gather(*(session.close() for session in sessions))
    print({getattr(result, "value", type(result).__name__) for result in results})

asyncio.run(main())
"""


@pytest.mark.parametrize(("hard", "seen"), [(4096, {"2"}), (100, {"2", "StorageError"})])
def test_sessions_need_descriptors_and_say_so(hard: int, seen: set[str]) -> None:
    """A terminal starts with a low limit that may be raised; where it may not, that is no reason for weaker walls."""
    limits = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))}
    done = subprocess.run([sys.executable, "-c", CROWD], capture_output=True, text=True, **limits)
    assert set(ast.literal_eval(done.stdout)) <= seen, done.stderr
    assert done.stderr == ""


async def test_slow_libraries_are_loaded_before_the_clock_of_a_cell_runs() -> None:
    python = PythonSession(policy=False, warm=False)
    loaded = "import sys\n[name for name in ('num' 'py', 'sym' 'py') if name in sys.modules]"
    assert (await python.run(loaded + "  # numpy")).value == "['numpy']"
    await python.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_the_cause_of_a_death_is_told_and_libraries_are_loaded_for_the_next_worker_too(kind: Any) -> None:
    python = PythonSession(walls=kind, policy=False, warm=False)
    await python.look("frame.plot()")
    died = await python.run("import os\nos._exit(3)")
    assert str(died.error).startswith("The code ended its process (exit status 3).")
    assert (await python.run("import sys\n'matplotlib.backends.backend_agg' in sys.modules")).value == "True"
    await python.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_plots_are_made_behind_all_walls(kind: Any) -> None:
    """The list of fonts is read-only in some, where matplotlib then looked for another place and broke."""
    python = PythonSession(walls=kind, warm=False)
    drawn = await python.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    assert (drawn.images, drawn.error, drawn.stderr) == (1, None, "")
    await python.close()


CLOSED = """
import asyncio
from llamachat.tools.python import PythonSession

async def main():
    for kind in {kinds}:
        python = PythonSession(walls=kind, policy=False, warm=False)
        print(kind, (await python.run("import only_here, colorsys; only_here.__name__")).value)
        await python.close()

asyncio.run(main())
"""


def test_python_in_folders_that_are_closed_to_others_is_read(tmp_path: Path) -> None:
    """Root's workers are nobody. ``mktemp -d`` makes closed folders, and so does everything under umask 077."""
    venv.create(tmp_path / "env", symlinks=True, with_pip=False)
    site = next(tmp_path.glob("env/lib/python*/site-packages"))
    (site / "only_here.py").touch()
    (tmp_path / "env").chmod(0o700)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [tmp_path / "env/bin/python", "-c", CLOSED.format(kinds=KINDS)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, umask=0o077)
    assert done.stdout.splitlines() == [f"{kind} 'only_here'" for kind in KINDS], done.stderr


async def test_no_walls_no_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.Walls, "stand", False)
    python = PythonSession(walls="none")
    with pytest.raises(ConfigError, match="The python tool is off") as caught:
        await python.run("1")
    assert "unwalled" in caught.value.hint
    await python.close()
    consenting = PythonSession(walls="none", unwalled=True)
    assert (await consenting.run("1")).value == "1"
    await consenting.close()
