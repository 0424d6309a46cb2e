"""What a generation may say while it makes a call: the offered names, and arguments that fit their schemas."""

from llamachat.constrain.constraint import CallConstraint, Grammar

__all__ = ["CallConstraint", "Grammar"]
