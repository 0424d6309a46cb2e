"""The pieces of the screen. Each posts its own messages and knows no App; one stylesheet dresses them all."""

from pathlib import Path

STYLESHEET = Path(__file__).with_name("llamachat.tcss")
