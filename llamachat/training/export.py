"""A training checkpoint as a bundle that the ordinary checkpoint loader reads: Hugging Face's layout, bf16.

``python -m llamachat.training.export --run runs/nano --out llamachat/bundled/nano``
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from llamachat.model import ModelConfig
from llamachat.tokenizer import Tokenizer
from llamachat.training.layout import config_json, foreign
from llamachat.training.sample import NANO as DIALECT


def export(checkpoint: Path, out: Path) -> dict[str, Any]:
    """Write weights and JSON files beside ``out``/tokenizer.model. Returns what the checkpoint says of its training."""
    state = torch.load(checkpoint, weights_only=True)
    config = ModelConfig(**state["config"])
    tokenizer = Tokenizer.from_file(out / "tokenizer.model")
    tensors = dict(foreign(state["masters"], config, torch.bfloat16))
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    shape = config_json("nano", config, tokenizer, DIALECT, tokenizer.stop_ids, torch.bfloat16)
    (out / "config.json").write_text(json.dumps(shape, indent=2) + "\n")
    generation = {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": sorted(tokenizer.stop_ids),
        "do_sample": False,
        "temperature": 0.0,
    }
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    return {key: state[key] for key in ("steps", "tokens", "seconds")}


def main() -> None:
    """Export the latest checkpoint of a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    print(json.dumps(export(options.run / "last.pt", options.out)))


if __name__ == "__main__":
    main()
