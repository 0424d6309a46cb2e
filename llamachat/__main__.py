"""``python -m llamachat`` is ``llamachat``."""

from llamachat.cli import main

main()
