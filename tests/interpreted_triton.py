"""Run by test_triton.py with TRITON_INTERPRET=1: kernels and the whole step beside plain torch."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import triton.language as tl
from torch import Tensor
from triton.runtime import interpreter

from llamachat.model import KVCache, ModelConfig, RopeScaling, Transformer, rope_table
from llamachat.quantise import QuantisedLinear, quantise
from llamachat.steps import on_gpu
from llamachat.steps.triton.matrices import fits
from llamachat.steps.triton.sampling import sampling as kernel
from llamachat.steps.triton.triton_steps import TritonSteps, Unsuited

CONFIG = ModelConfig(128, 1, 8, 2, 384, 128, 64, rope_scaling=RopeScaling(8.0, original_context=16))
IDS = torch.randint(128, (1, 40), generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True, scope="session")
def mended() -> None:
    """Three things that Triton 3.6's interpreter gets wrong: bounds of loops with NumPy from 2.4 on (it wants an array
    of no dimensions for a number), products of bfloat16, whose bits it multiplies as integers, and integers to
    bfloat16, which it takes for its bits."""
    patch, dot = interpreter._patch_lang_tensor, interpreter.InterpreterBuilder.create_dot
    cast = interpreter.InterpreterBuilder.cast_impl

    def patched(tensor: Any, scope: Any) -> None:
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    def wide(handle: Any) -> Any:
        if handle.dtype.scalar != tl.bfloat16:
            return handle
        return interpreter.TensorHandle((handle.data.astype(np.uint32) << 16).view(np.float32), tl.float32)

    def converted(self: Any, handle: Any, to: Any) -> Any:
        if to.scalar == tl.bfloat16 and handle.dtype.scalar.is_int():
            handle = interpreter.TensorHandle(handle.data.astype(np.float32), tl.float32)
        return cast(self, handle, to)

    interpreter._patch_lang_tensor = patched
    interpreter.InterpreterBuilder.cast_impl = converted
    interpreter.InterpreterBuilder.create_dot = lambda self, a, b, *rest: dot(self, wide(a), wide(b), *rest)


def model_of(kind: str, config: ModelConfig = CONFIG) -> Transformer:
    """Random weights; q and k are large, so that a mistake in the rotation shows."""
    generator = torch.Generator().manual_seed(0)
    model = Transformer(config).bfloat16().requires_grad_(False).eval()
    model.rope = rope_table(config)
    for name, weight in model.named_parameters():
        scale = 0.2 if "wq" in name or "wk" in name else 0.1
        weight.copy_(torch.randn(weight.shape, generator=generator) * scale + ("norm" in name))
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and kind != "whole":
            of = "int8" if kind == "int4" and name == "output" else kind
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, QuantisedLinear(quantise(module.weight, of)))
    return model


def off(found: Tensor, exact: Tensor) -> float:
    return float((found.float() - exact.float()).norm() / exact.float().norm())


@pytest.mark.parametrize("kind", ["whole", "int8", "fp8", "int4"])
def test_a_step_computes_what_the_model_computes(kind: str) -> None:
    """Against float32, with the error that plain bfloat16 has too; a wrong rotation or scale is off by more than 1."""
    model = model_of(kind)
    assert fits(model)
    exact, plain = copy.deepcopy(model).float(), copy.deepcopy(model)
    steps = TritonSteps(model)
    for name, weight in plain.state_dict().items():  # now views of joined matrices, and still the same
        assert model.state_dict()[name].float().equal(weight.float())
    dtypes = (torch.bfloat16, torch.float32, torch.bfloat16)
    caches = [KVCache(CONFIG, 64, device="cpu", dtype=dtype) for dtype in dtypes]
    for cache, reader in zip(caches, (plain, exact, plain), strict=True):
        reader.hidden(IDS[:, :17], cache)
    at = 17
    for new in (1, 3):
        ids = IDS[:, at : at + new]
        states = steps.hidden(ids, caches[0])
        expected, rounded = exact.hidden(ids, caches[1]), plain.hidden(ids, caches[2])
        allowed = min(2 * off(rounded, expected), 0.06)
        at += new
        assert (caches[0].length, states.shape, states.dtype) == (at, (1, new, 128), torch.bfloat16)
        assert off(states, expected) < allowed
        for ours, theirs in ((caches[0].keys, caches[1].keys), (caches[0].values, caches[1].values)):
            assert off(ours[..., at - new : at, :], theirs[..., at - new : at, :]) < allowed
        rows = 1 if new == 1 else 8
        steps._kernels.choose(rows, False)
        logits = exact.output(expected)[0]
        assert off(steps._kernels.state.logits[:new], logits) < allowed
        assert steps._kernels.state.found[:new].tolist() == steps._kernels.state.logits[:new].argmax(1).tolist()
        assert steps._kernels.state.arrived.tolist() == [0, 0]


def test_kernels_that_compute_something_else_are_not_used() -> None:
    model = model_of("whole")
    steps = TritonSteps(model)
    steps.try_out()
    steps._kernels.layers[0] = replace(steps._kernels.layers[0], ffn_norm=-model.layers[0].ffn_norm.weight)
    with pytest.raises(Unsuited, match="compute something else"):
        steps.try_out()


def test_the_user_is_told_when_torch_goes_on_by_itself() -> None:
    model = model_of("whole").float()
    steps, notice = on_gpu(model)
    assert steps is model
    assert notice.startswith("Replies come slower")
    assert notice.endswith("our kernels don't fit the model's shape.")


def test_prompts_and_branches_are_left_to_the_model() -> None:
    model = model_of("whole")
    steps, cache, other = TritonSteps(model), *(KVCache(CONFIG, 64, device="cpu", dtype=torch.bfloat16) for _ in "ab")
    assert steps.hidden(IDS, cache).equal(model.hidden(IDS, other))


def draws(logits: Tensor, count: int, *, seed: int = 7, block: int = 32, **filters: float) -> Tensor:
    """``count`` ids drawn by the kernel, each as at a position of its own."""
    wanted = {"temperature": 1.0, "top_p": 1.0, "min_p": 0.0, "top_k": 0.0, **filters}
    settings = torch.tensor([wanted[name] for name in ("temperature", "top_p", "min_p", "top_k")])
    found, state = torch.full((count,), -7, dtype=torch.int32), torch.zeros(1, dtype=torch.int64)
    rows = logits.expand(count, -1).contiguous()
    kernel[(count,)](
        rows, settings, torch.tensor([seed], dtype=torch.int32), state, state, found, logits.shape[0],
        CHAIN=False, BLOCK=block, PDL=False,
    )  # fmt: skip
    return found


LOGITS = torch.tensor([0.0, 2.0, -1.0, 1.0, -torch.inf, 0.5, 3.0, 1.0, -20.0, 0.0, 2.5, 1.5, -3.0, 0.1, 0.2, 0.3, 2.2])


@pytest.mark.parametrize(
    "filters",
    [
        {"temperature": 0.5},
        {"top_p": 0.6},
        {"temperature": 2.0, "top_k": 8.0, "min_p": 0.5, "top_p": 0.9},
    ],
)
def test_ids_are_drawn_by_the_filters(filters: dict[str, float]) -> None:
    """The set is that of picking.choose, and frequencies within it are the probabilities (chi-squared, p = 0.001)."""
    scaled = LOGITS / filters.get("temperature", 1.0)
    if filters.get("top_k"):
        scaled[scaled < scaled.topk(int(filters["top_k"])).values[-1]] = -torch.inf
    probabilities, ids = scaled.softmax(0).sort(descending=True)
    keep = (probabilities > 0) & (probabilities >= filters.get("min_p", 0.0) * probabilities[0])
    if "top_p" in filters:
        keep &= probabilities.cumsum(0) - probabilities < filters["top_p"]
    allowed = ids[keep].tolist()
    count = 40
    found = draws(LOGITS, count, **filters).tolist()
    assert set(found) <= set(allowed)
    expected = probabilities[keep] / probabilities[keep].sum() * count
    common = expected >= 5
    observed = torch.tensor([found.count(i) for i in allowed])
    bound = {1: 10.8, 2: 13.8, 3: 16.3, 4: 18.5, 5: 20.5, 6: 22.5}[int(common.sum()) - 1]
    assert float(((observed - expected) ** 2 / expected)[common].sum()) < bound


def test_choices_that_leave_none() -> None:
    assert set(draws(LOGITS, 2, temperature=0.0).tolist()) == {6}
    assert set(draws(LOGITS, 2, top_k=1.0).tolist()) == {6}
    assert set(draws(LOGITS, 2, temperature=1e-35).tolist()) == {6}
    first = draws(LOGITS, 12).tolist()
    assert draws(LOGITS, 12).tolist() == first
    assert draws(LOGITS, 12, block=8).tolist() == first
    assert draws(LOGITS, 12, seed=8).tolist() != first
    for bad in (torch.nan, torch.inf):
        broken = LOGITS.clone()
        broken[12] = bad
        assert draws(broken, 2).tolist() == [-1, -1]
        assert draws(broken, 2, temperature=0.0).tolist() == [-1, -1]
    assert draws(torch.full((17,), -torch.inf), 1).tolist() == [-1]
    tied = torch.zeros(17)
    assert draws(tied, 1, temperature=0.0).tolist() == [0]
