"""Holds a generation elsewhere to a constraint: what to ask for again, and how, when an id was refused. Knows no HTTP.

A constraint lives here, the sampler there. So an id that is refused ends the question, and the next question asks for
one id from there on, with a bias: towards what may come, if that is little, else away from what was refused.
"""

from llamachat.sampling import Constraint

FEW = 300  # ids that a question names at most, as OpenAI's own servers do
TRIES = 16  # refusals in one place; each costs a question
STRONG = 100.0  # what engines clamp a bias to; logits differ by less than 50


class Held:
    """The constraint of one generation, if there is one; ``bias`` is for the next question, and empty in between."""

    def __init__(self, constraint: Constraint | None) -> None:
        self.bias: dict[int, float] = {}
        self.refused = 0
        self.released = False
        self._constraint = constraint
        self._tries = 0

    def takes(self, token_id: int) -> bool:
        """Whether ``token_id`` came; if not, ``bias`` is set."""
        if self._constraint is None:
            return True
        good = self._constraint.replaces(token_id) if self.bias else self._constraint.allows(token_id)
        if not good and self._ask_again(token_id, self._constraint):
            return False
        self.bias, self._tries = {}, 0
        self._constraint.accept(token_id)
        return True

    def _ask_again(self, token_id: int, constraint: Constraint) -> bool:
        """Set the bias; if nothing may come, or the server knows no bias, let go."""
        self.refused += 1
        self._tries += 1
        allowed = constraint.replacements() if self._tries == 1 else ()
        if self._tries > TRIES or (self._tries == 1 and not allowed):
            self.released = True
            constraint.release()
            return False
        if 0 < len(allowed) <= FEW:
            self.bias = dict.fromkeys(allowed, STRONG)
        else:
            self.bias[token_id] = -STRONG
        return True
