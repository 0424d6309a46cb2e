"""The GPU's kernels without a GPU: computed by Triton's interpreter, and compiled for an H100 without spilling."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sm90 import Compiled, Launch, compile_, launches

from llamachat.model import ModelConfig, Transformer
from llamachat.quantise import Quantised, QuantisedLinear

EIGHT_B = ModelConfig(4096, 1, 32, 8, 14_336, 128_256, 256)
KINDS = {"whole": None, "int8": torch.int8, "fp8": torch.float8_e4m3fn, "int4": torch.uint8}


def test_the_interpreter_computes_what_torch_computes() -> None:
    """In a process of its own: Triton looks at the environment once, when it is imported."""
    tests = Path(__file__).parent
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(tests)}
    command = [sys.executable, "-m", "pytest", "-n0", "-x", "-p", "no:cacheprovider", "interpreted_triton.py"]
    done = subprocess.run(command, cwd=tests, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\[100%\]", done.stdout)


def hollow(kind: str) -> Transformer:
    """One layer of the 8B's shape on the meta device."""
    with torch.device("meta"):
        model = Transformer(EIGHT_B).bfloat16().requires_grad_(False)
        for name, module in list(model.named_modules()):
            if isinstance(module, torch.nn.Linear) and kind != "whole":
                rows, columns = module.weight.shape
                four = kind == "int4" and name != "output"
                of: str = "int4" if four else "int8" if kind == "int4" else kind
                data = torch.empty(rows, columns // 2 if four else columns, dtype=KINDS[of])
                scale = torch.empty(rows, columns // 128, dtype=torch.bfloat16) if four else torch.empty(rows)
                parent, _, child = name.rpartition(".")
                setattr(model.get_submodule(parent), child, QuantisedLinear(Quantised(of, data, scale)))
    model.rope = torch.empty(2, EIGHT_B.context, EIGHT_B.width // 2, device="meta")
    return model


EVERY = ("embedding", "norm_product", "attention", "add_product", "gated_product", "sampling")
STEPS = [
    ("whole", 1, EVERY),
    ("int8", 1, ("norm_product", "add_product", "gated_product")),
    ("fp8", 1, ("attention", "gated_product")),
    ("int4", 1, ("norm_product", "add_product", "gated_product")),
    ("whole", 8, ("norm_product", "attention", "add_product", "gated_product")),
    ("int8", 8, ("gated_product",)),
    ("int4", 8, ("gated_product",)),
]


@pytest.mark.parametrize(("kind", "rows", "names"), STEPS)
def test_kernels_compile_for_hopper_without_spilling(
    kind: str, rows: int, names: tuple[str, ...], tmp_path: Path
) -> None:
    cache = torch.float8_e4m3fn if kind == "fp8" else torch.bfloat16
    wanted = [launch for launch in launches(hollow(kind), rows, cache) if launch.kernel.fn.__name__ in names]
    assert {launch.kernel.fn.__name__ for launch in wanted} == set(names)
    for launch in wanted:
        found = compile_(launch, tmp_path)
        name = launch.kernel.fn.__name__
        print(f"{name} {kind} M={rows}: {found.registers} registers, {found.stack} bytes of stack")
        check(name, rows, launch, found)


def check(name: str, rows: int, launch: Launch, found: Compiled) -> None:
    assert found.stack == 0
    assert found.registers * 32 * launch.warps <= 65_536
    if name == "embedding":
        assert "griddepcontrol" not in found.ptx  # the first of its step waits for all before
        return
    waits = found.ptx.index("griddepcontrol.wait")
    assert waits < found.ptx.index("griddepcontrol.launch_dependents")
    loads = [load.start() for load in re.finditer(r"ld\.global", found.ptx)]
    if "product" in name and rows == 1:
        assert re.search(r"LDG\.E\S*\.128", found.sass)
        ahead = [load for load in loads if load < waits]
        assert 1 <= len(ahead) <= 8  # the first tile of weights, and nothing else
        assert all(".v4." in found.ptx[load : load + 60] for load in ahead)
    elif "product" in name:
        assert re.search(r"LDGSTS\.E\S*\.128", found.sass)
        assert "HGMMA" in found.sass or "HMMA" in found.sass
    else:
        assert loads
        assert min(loads) > waits
