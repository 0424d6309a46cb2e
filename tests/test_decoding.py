"""The host one step behind the device: the same ids as step after step, guesses or not, and nothing read twice."""

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F

from llamachat.errors import EngineError
from llamachat.model import KVCache
from llamachat.sampling import SamplingParams
from llamachat.speculation import PromptLookup
from llamachat.steps import Decoder
from llamachat.steps.decoding import decode


class Device:
    """A decoder whose ids follow from the one before and the position; it checks what it is asked."""

    ready, rows = True, 4

    def __init__(self, period: int) -> None:
        self.period = period
        self.waiting: list[int] = []
        self.launched = self.verified = 0
        self.id = self.position = -1

    def next(self, token_id: int, position: int) -> int:
        return (token_id * 7 + position % self.period) % 50

    def most(self, room: int) -> int:
        return self.rows if room >= self.rows else 0

    def begin(self, cache: KVCache, sampling: SamplingParams, generator: torch.Generator) -> None:
        raise AssertionError

    def tune(self) -> None:
        raise AssertionError

    def place(self, token_id: int, position: int) -> None:
        assert not self.waiting
        self.id, self.position = token_id, position

    def launch(self) -> int:
        assert len(self.waiting) < 2
        self.id = self.next(self.id, self.position)
        self.position += 1
        self.launched += 1
        self.waiting.append(self.id)
        return self.id

    def read(self, ticket: int) -> int:
        assert self.waiting.pop(0) == ticket
        return ticket

    def verify(self, ids: Sequence[int], position: int) -> list[int]:
        assert not self.waiting
        assert 2 <= len(ids) <= self.rows
        self.verified += 1
        self.id = self.position = -1  # what is on the device now is of no use
        return [self.next(token_id, position + i) for i, token_id in enumerate(ids)]


class Host(Device):
    """One that takes steps only when they are read."""

    def most(self, room: int) -> int:
        return min(room, self.rows)

    def launch(self) -> None:
        return None

    def read(self, ticket: None) -> int:
        super().launch()
        return super().read(self.waiting[0])


def one_by_one(device: Device, token_id: int, position: int, count: int) -> list[int]:
    ids = []
    for i in range(count):
        token_id = device.next(token_id, position + i)
        ids.append(token_id)
    return ids


@pytest.mark.parametrize("kind", [Device, Host])
@pytest.mark.parametrize("period", [1, 3, 1000])
@pytest.mark.parametrize("room", [0, 1, 2, 5, 40, 300])
def test_the_same_ids_with_and_without_guesses(kind: type[Device], period: int, room: int) -> None:
    device = kind(period)
    assert isinstance(device, Decoder)
    expected = one_by_one(device, 3, 10, room)
    assert list(decode(device, 3, 10, room)) == expected
    assert device.launched == room  # not one step too many
    guessing, lookup = kind(period), PromptLookup()
    lookup.follow([1, 2, 3])
    assert list(decode(guessing, 3, 10, room, lookup)) == expected
    assert guessing.launched + guessing.verified <= room
    if period < 1000 and room > 100:
        assert guessing.launched + guessing.verified < room / 2
        assert lookup.accepted > room / 2


def test_who_leaves_has_what_was_given_out() -> None:
    device = Device(1000)
    ids = decode(device, 3, 10, 300)
    got = [next(ids) for _ in range(5)]
    ids.close()
    assert got == one_by_one(device, 3, 10, 5)
    assert device.launched == 6  # the one ahead is discarded


def test_numbers_that_are_not_finite() -> None:
    class Broken(Device):
        def next(self, token_id: int, position: int) -> int:
            return -1 if position == 13 else super().next(token_id, position)

    with pytest.raises(EngineError, match="not finite"):
        list(decode(Broken(1000), 3, 10, 50))
    with pytest.raises(EngineError, match="not finite"):
        list(decode(Broken(1), 0, 10, 50, PromptLookup()))


def test_the_mask_of_a_suffix_that_flash_attention_knows() -> None:
    """On a GPU the model asks for it by name, so that SDPA takes the flash kernel; it must mean the same."""
    from torch.nn.attention.bias import causal_lower_right

    q, k, v = (torch.randn(1, heads, n, 16) for heads, n in ((4, 5), (2, 12), (2, 12)))
    ours = torch.ones(5, 12, dtype=torch.bool).tril(7)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=ours, enable_gqa=True)
    named = causal_lower_right(5, 12)
    assert torch.allclose(
        F.scaled_dot_product_attention(q, k, v, attn_mask=named, enable_gqa=True), expected, atol=1e-6
    )
