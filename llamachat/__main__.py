"""Where the program begins: ``llamachat`` and ``python -m llamachat``. Knows nothing but how to leave at once.

Ctrl-C while modules load would be raised inside a foreign import, which numpy for one swallows and stumbles over. Until
there is something to lose, it therefore ends the process without a word of Python's.
"""

import os
import signal
from types import FrameType


def main() -> None:
    """Entry point."""
    signal.signal(signal.SIGINT, _leave)
    from llamachat.cli import main

    main()


def _leave(signum: int, frame: FrameType | None) -> None:
    os.write(2, b"Interrupted.\n")
    os._exit(128 + signum)


if __name__ == "__main__":
    main()
