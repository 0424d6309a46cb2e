"""Where the program begins: ``llamachat`` and ``python -m llamachat``. Knows nothing but how to leave.

Ctrl-C while modules load would be raised inside a foreign import, which numpy for one swallows and stumbles over. Until
there is something to lose, it therefore ends the process without a word of Python's.
"""

import gc
import io
import logging
import os
import signal
import sys
from types import FrameType

from llamachat.errors import ConfigError, LlamaChatError
from llamachat.paths import rank


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    signal.signal(signal.SIGINT, _leave)
    logging.lastResort = None  # libraries' warnings would be written across the screen
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that can't show a character must not end the chat
    try:
        _run()
    except LlamaChatError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except OSError as error:  # a full disk behind a redirected answer, a folder that has gone
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)  # what is still buffered can't be written either
        print(f"error: {error.strerror or error}\n  hint: Check where the output goes.", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:  # from here; typer sees to its own
        sys.exit(130)


def _run() -> None:
    gc.disable()  # what imports make is no garbage, and looking through it takes 45 ms of the first frame
    if sys.argv[1:] or rank():
        from llamachat.cli import app, spelled_out

        gc.enable()
        app(spelled_out(sys.argv[1:]), prog_name="llamachat")
    else:  # typer, pydantic for it, and the other verbs would make the first frame wait for 0.15 s
        from llamachat.start import alone  # it enables the collector again

        sys.exit(alone())


def _leave(signum: int, frame: FrameType | None) -> None:
    os.write(2, b"Interrupted.\n")
    os._exit(128 + signum)


if __name__ == "__main__":
    main()
