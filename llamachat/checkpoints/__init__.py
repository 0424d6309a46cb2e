"""What files become weights: ``open_checkpoint`` looks inside a folder, never at its name."""

from pathlib import Path

from llamachat.checkpoints.checkpoint import Checkpoint
from llamachat.checkpoints.gguf_file import is_gguf
from llamachat.checkpoints.huggingface import read_huggingface
from llamachat.checkpoints.llama_cpp import read_folder, read_gguf
from llamachat.checkpoints.meta import read_meta
from llamachat.checkpoints.safetensors_files import INDEX
from llamachat.errors import CheckpointError

__all__ = ["Checkpoint", "open_checkpoint"]

LAYOUTS = (
    "Point to a folder with config.json and *.safetensors (Hugging Face), "
    "with params.json and consolidated.*.pth (Meta), or to a GGUF file."
)


def open_checkpoint(path: Path | str, *, weights: bool = True) -> Checkpoint:
    """Understand the checkpoint in a folder (or around one of its weight files); the weights are not read yet.

    A GGUF file stands for itself. Without ``weights``, where the model runs elsewhere, a folder of Hugging Face's needs
    none: what it says and its tokenizer are enough. Raises CheckpointError if it is missing, torn, incomplete or of a
    kind that we don't run.
    """
    folder = Path(path).expanduser()
    try:
        if is_gguf(folder):
            return read_gguf(folder)
        if folder.is_file() and folder.suffix in (".safetensors", ".pth"):
            folder = folder.parent
        if not folder.is_dir():
            missing = "is no checkpoint" if folder.exists() else "doesn't exist"
            raise CheckpointError(f"{folder} {missing}.", LAYOUTS)
        names = {file.name for file in folder.iterdir()}
        if "config.json" in names and (INDEX in names or any(name.endswith(".safetensors") for name in names)):
            return read_huggingface(folder)
        if "config.json" in names and not weights:
            return read_huggingface(folder, weights=False)
        if "params.json" in names and any(folder.glob("consolidated.*.pth")):
            return read_meta(folder)
        if files := sorted(folder / name for name in names if is_gguf(folder / name)):
            return read_folder(folder, files)
    except OSError as error:
        raise CheckpointError(f"Can't read {folder}: {error.strerror or error}.", LAYOUTS) from error
    raise _unknown(folder, names)


def _unknown(folder: Path, names: set[str]) -> CheckpointError:
    """The most helpful sentence about a folder that has no layout of ours."""
    if not names:
        return CheckpointError(f"{folder} is empty.", LAYOUTS)
    if "config.json" in names or "params.json" in names:
        return CheckpointError(f"{folder} describes a model but holds no weights that we read.", LAYOUTS)
    return CheckpointError(f"{folder} holds no checkpoint.", LAYOUTS)
