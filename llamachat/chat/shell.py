"""The user's own commands, by ``!``: run in their shell if they allow it. The model sees nothing of them."""

import asyncio
import os

from llamachat.errors import ConfigError
from llamachat.paths import shell
from llamachat.visible import visible

SHELL_SECONDS = 60.0
SHELL_OUTPUT = 64 << 10  # bytes


async def run_shell(command: str, allowed: bool) -> str:
    """What ``command`` prints in the user's shell, as a page. The model sees nothing of it.

    Raises ConfigError if it is not ``allowed``, or takes too long.
    """
    if not allowed:
        raise ConfigError("! runs nothing here.", "llamachat config set ui.shell true lets it run your commands.")
    process = await asyncio.create_subprocess_exec(
        shell(), "-c", command, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert process.stdout
    printed = b""
    try:
        async with asyncio.timeout(SHELL_SECONDS):
            while data := await process.stdout.read(1 << 16):
                printed = (printed + data)[-SHELL_OUTPUT:]
            status = await process.wait()
    except TimeoutError as error:
        raise ConfigError(f"{command!r} took more than {SHELL_SECONDS:.0f} s.", "Run it in a terminal.") from error
    finally:
        if process.returncode is None:
            os.killpg(process.pid, 9)
            await process.wait()
    text = visible(printed.decode("utf-8", "replace")).replace("```", "`` `")
    return f"`! {command}` {f'ended with {status}' if status else ''}\n\n```text\n{text}\n```"
