"""Two processes that share a model, for tests: ``run`` starts them, each runs ``main`` of this file.

The leader compares with the whole model in its own process, and prints what it found as JSON.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SECONDS = 200  # more than it takes on a slow machine


def run(*folders: Path, size: int = 2) -> list[dict[str, Any]]:
    """What the leader found of each of ``folders``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, __file__, *map(str, folders)]
    members = [
        subprocess.Popen(command, env={**shared, "RANK": str(i)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for i in range(size)
    ]
    try:
        said = [member.communicate(timeout=SECONDS) for member in members]
    finally:
        for member in members:
            member.kill()
    errors = "\n".join(error.decode() for _, error in said)
    assert [member.returncode for member in members] == [0] * size, errors
    found: list[dict[str, Any]] = json.loads(said[0][0])
    return found


def main(folders: Sequence[str]) -> None:
    """One member's part."""
    import torch

    from llamachat.checkpoints import open_checkpoint
    from llamachat.kv_tiers import Budgets
    from llamachat.parallel import Team
    from llamachat.runtime import LlamaRuntime

    torch.set_num_threads(1)
    team, found = Team("cpu"), []
    for folder in folders:
        dtype = torch.bfloat16 if folder.endswith("bf16") else torch.float32
        if team.part.rank:
            team.follow(team.load(open_checkpoint(folder), dtype))
            continue
        alone = LlamaRuntime.open(folder, device="cpu", dtype=dtype, threads=1)
        leads = LlamaRuntime.open(folder, dtype=dtype, threads=1, team=team, budgets=Budgets(ram=0))
        whole, exact = (open_checkpoint(folder).load_model(dtype=kind) for kind in (dtype, torch.float32))
        found.append(asyncio.run(compare(alone, leads, whole, exact)))
        team.tell(None)
        alone.close()
        leads.close()
    if team.part.rank == 0:
        team._over = True
        print(json.dumps(found))


async def compare(alone: Any, leads: Any, whole: Any, exact: Any) -> dict[str, Any]:
    """Logits of a prompt, greedy replies of a tool step and a branch, scores: of one process and of all. Errors of the
    logits, of the share and of the ``whole``, are relative, to those of ``exact`` (float32)."""
    import torch

    from llamachat.model import KVCache
    from llamachat.sampling import SamplingParams

    ids = [i * 37 % 251 for i in range(60)]
    logits = []
    with torch.inference_mode():
        for model in (leads._model, whole):
            cache = KVCache(model.config, 100, device="cpu", dtype=whole.norm.weight.dtype)
            first = model.output(model.hidden(torch.tensor([ids[:40]]), cache)[0])
            rest = model.output(model.hidden(torch.tensor([ids[40:]]), cache)[0])
            logits.append(torch.cat((first, rest)).float())
    expected = exact(torch.tensor([ids]))[0]
    greedy, said = SamplingParams(temperature=0.0, max_tokens=15), []
    for runtime in (leads, alone):
        replies = []
        for prompt in (ids, [*ids, 1, 2], [*ids[:30], 7, 7], ids):
            replies.append([i async for i in runtime.generate(prompt, greedy, ())])
        scores = await runtime.score(ids, [[1, 2, 3], [4], [5, 6]])
        said.append((replies, [s.logprob for row in scores for s in row], runtime.stats.cached_tokens))
    held = [sum(p.numel() for p in model.layers.parameters()) for model in (leads._model, exact)]
    return {
        "errors": [float((found - expected).norm() / expected.norm()) for found in logits],
        "same": said[0][0] == said[1][0],
        "scores": max(abs(a - b) for a, b in zip(said[0][1], said[1][1], strict=True)),
        "cached": [said[0][2], said[1][2]],
        "share": held[0] / held[1],
    }


if __name__ == "__main__":
    main(sys.argv[1:])
