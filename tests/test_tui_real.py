"""The screen with nothing faked: a terminal, the embedded model, the python tool."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest
from screen import say, shown, status, until

from llamachat.paths import bundled_model
from llamachat.runtime import LlamaRuntime
from llamachat.system_prompts import load_personas
from llamachat.tools import Toolbox
from llamachat.tools.python import python_tool
from llamachat.tui import LlamaChatApp, Settings
from llamachat.widgets.inspector import InspectorScreen, TokenFlow

pytestmark = pytest.mark.usefixtures("own_folders")


async def test_the_embedded_model_computes_with_the_real_python():
    personas = load_personas()
    settings = Settings(personas["default"], personas, Toolbox((python_tool(),)), overrides={"temperature": 0.0})
    app = LlamaChatApp(lambda _: LlamaRuntime.open(bundled_model()), settings, "nano")
    async with app.run_test() as pilot:
        await say(pilot, "What is 173 * 29 + 4?")
        await until(pilot, lambda: len(app.dialog) == 5)
        await until(pilot, lambda: "ctx" in status(app))
        assert [m.role for m in app.dialog] == ["system", "user", "assistant", "ipython", "assistant"]
        assert app.dialog[3].text == "completed\n[stdout]\n5021\n[/stdout]"
        assert "5021" in app.dialog[4].text
        await until(pilot, lambda: "→ 5021" in shown(app))  # drawn a little later


async def test_a_reply_goes_on_from_a_token_that_might_have_been_another():
    """A greedy reply is what the model finds likeliest; with another token at its start it says another thing."""
    personas = load_personas()
    settings = Settings(personas["default"], personas, Toolbox(()), overrides={"temperature": 0.0})
    app = LlamaChatApp(lambda _: LlamaRuntime.open(bundled_model()), settings, "nano")
    async with app.run_test() as pilot:
        await say(pilot, "Hello!")
        await until(pilot, lambda: len(app.dialog) == 3 and not app.conversation.busy)
        first = app.dialog[2].token_ids
        await pilot.press("ctrl+t", "p")
        screen = app.screen
        assert isinstance(screen, InspectorScreen)
        tokens = screen.query_one(TokenFlow)
        await until(pilot, lambda: bool(tokens.likely))
        assert [one.instead[0].id for one in tokens.likely.values()] == list(first)
        tokens.to(min(tokens.likely))
        await pilot.press("2")
        await until(pilot, lambda: app.dialog[-1].token_ids not in (None, first) and not app.conversation.busy)
        other = app.dialog[2].token_ids
        assert other[0] == tokens.likely[min(tokens.likely)].instead[1].id
        assert [view.label for view in app.transcript.all_views if view.key] == ["", "‹2/2›"]


FIRST_FRAME = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup has it ignored, here too
from llamachat.errors import CheckpointError
from llamachat.system_prompts import Persona
from llamachat.tui import LlamaChatApp, Settings

def open_runtime(path):
    needed = {"llamachat.constrain", "markdown_it", "pygments.lexers.python"}
    os.write(1, f"ENGINE:{'torch' in sys.modules} AHEAD:{needed <= sys.modules.keys()}".encode())
    raise CheckpointError("No engine today.", "Come back tomorrow.")

persona = Persona("default", "Help.")
app = LlamaChatApp(open_runtime, Settings(persona, {"default": persona}), "nano")
app.run()
sys.exit(app.return_code)
"""


def first_frame(after: Callable[[subprocess.Popen[bytes], int], object]) -> tuple[int, bytes]:
    """How FIRST_FRAME ended in a terminal, what it drew; ``after`` the engine failed, with both."""
    terminal, inside = pty.openpty()
    termios.tcsetwinsize(inside, (24, 80))  # rows, columns
    command = [sys.executable, "-c", FIRST_FRAME]
    with subprocess.Popen(
        command, stdin=inside, stdout=inside, stderr=inside, env={**os.environ, "TERM": "xterm"}
    ) as app:
        os.close(inside)
        output = b""
        while chunk := read(terminal):
            before, output = output, output + chunk
            if b"No engine today." in output and b"No engine today." not in before:
                after(app, terminal)
    os.close(terminal)
    return app.returncode, output


def test_in_a_terminal_the_first_frame_is_painted_before_the_engine_is_opened():
    status, output = first_frame(lambda _, terminal: os.write(terminal, b"\x11"))  # ctrl+q
    assert status == 0
    assert 0 < output.index(b"sk anything") < output.index(b"ENGINE:False AHEAD:True")
    assert b"Traceback" not in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(number: signal.Signals):
    status, output = first_frame(lambda app, _: app.send_signal(number))
    assert status == 128 + number
    assert output.index(b"No engine today.") < output.index(b"\x1b[?1049l")  # the terminal is as it was


def test_after_it_was_stopped_all_is_drawn_again():
    def stop_and_go(app: subprocess.Popen[bytes], terminal: int) -> None:
        app.send_signal(signal.SIGTSTP)
        os.waitid(os.P_PID, app.pid, os.WSTOPPED)
        app.send_signal(signal.SIGCONT)
        again = b""
        while b"sk anything" not in again or b"No engine today." not in again:
            assert select.select([terminal], [], [], 30)[0], again  # seconds
            again += read(terminal)
        os.write(terminal, b"\x11")  # ctrl+q

    assert first_frame(stop_and_go)[0] == 0


@pytest.mark.parametrize("owned", [True, False])
def test_a_terminal_that_goes_ends_it(owned: bool):
    terminal, inside = pty.openpty()
    termios.tcsetwinsize(inside, (24, 80))

    def own_terminal() -> None:
        os.setsid()
        if owned:  # else it goes without a signal
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    with subprocess.Popen(
        [sys.executable, "-c", FIRST_FRAME], stdin=inside, stdout=inside, stderr=inside, preexec_fn=own_terminal,
        env={**os.environ, "TERM": "xterm"},
    ) as app:  # fmt: skip
        os.close(inside)
        output = b""
        while b"No engine today." not in output:
            output += (chunk := read(terminal))
            assert chunk
        os.close(terminal)
        assert app.wait(20) == 128 + signal.SIGHUP


def test_in_a_terminal_the_prompt_is_written_in_an_editor(tmp_path: Path):
    script = tmp_path / "edit.py"
    script.write_text("import sys; open(sys.argv[1], 'a').write(' of [all] parts')")
    terminal, inside = pty.openpty()
    termios.tcsetwinsize(inside, (24, 80))
    editor = f"{sys.executable} {script}"
    environment = {**os.environ, "TERM": "xterm", "VISUAL": editor}
    command = [sys.executable, "-c", FIRST_FRAME]
    steps = [(b"No engine today.", b"the sum"), (b"the sum", b"\x07"), (b"of [all] parts", b"\x11")]  # ctrl+g, ctrl+q
    with subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside, env=environment) as app:
        os.close(inside)
        output = b""
        while chunk := read(terminal):
            output += chunk
            if steps and steps[0][0] in output:
                os.write(terminal, steps.pop(0)[1])
                output = b""
    os.close(terminal)
    assert app.returncode == 0
    assert steps == []


def read(terminal: int) -> bytes:
    """What the program wrote, or nothing when it has ended (Linux raises EIO then)."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
