"""Small HTTP servers that speak as vLLM, SGLang and llama-server do, and misbehave where a test asks for it.

    with EngineServer("vllm", replies=[[72, 105, 265]]) as server: … server.url … server.asked

Each question gets the next reply, a list of ids, cut at ``max_tokens``. ``asked`` holds the bodies of the questions,
``cached`` counts ids of the prompt that came before, as their prefix caches do.
"""

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from tiny_llama import reference, save_huggingface

from llamachat.kv_tree import common_prefix
from llamachat.remote import Address, RemoteRuntime
from llamachat.remote.servers import find_server
from llamachat.sampling import SamplingParams
from llamachat.testing import byte_tokenizer

TOKENIZER = byte_tokenizer()
KINDS = ["vllm", "sglang", "sglang-delta", "llama"]
EOT = TOKENIZER.eot_id
HELLO = [*b"Hello!", EOT]
PROMPT = list(b"Say hello.")
DRAWN = SamplingParams(temperature=0.5, top_p=0.8, top_k=0, min_p=0.05, seed=7, max_tokens=100)
LIMIT = {"vllm": "max_tokens", "sglang": "max_new_tokens", "llama": "n_predict"}


SAID = {
    "garbage": "{{{ no JSON",
    "foreign": '{"choices": [{"delta": {"content": "hi"}}], "output_ids": 3}',
    "list": "[1, 2]",
    "error": json.dumps({"error": {"message": "CUDA out of memory"}}),
}
ENDLESS = {
    "drips": (": here\n\n", ": here\n\n", 0.02),
    "endless line": ("data: ", "9" * 2**20, 0),
    "no end": (": \n", "", 0.001),
}


class EngineServer(ThreadingHTTPServer):
    """``kind`` is vllm, sglang, sglang-delta or llama; ``fault`` names what goes wrong after ``good`` events."""

    daemon_threads = True

    def __init__(
        self, kind: str, replies: Sequence[Sequence[int]] = (), *, fault: str = "", good: int = 3, context: int = 512
    ) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.kind, self.delta = kind.removesuffix("-delta"), kind.endswith("-delta")
        self.replies, self.fault, self.good, self.context = list(replies), fault, good, context
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.tokenizer = TOKENIZER
        self.model = "meta-llama/Llama-3.1-8B"
        self.tells_stop = True
        """Whether the stop id is among the ids; else it is only named."""
        self.live: list[int] = []
        self.was_asked, self.hung_up, self.closing = threading.Event(), threading.Event(), threading.Event()

    def __enter__(self) -> "EngineServer":
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what we want."""


class Visit(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: EngineServer

    def log_message(self, format: str, *args: object) -> None:
        """In silence."""

    # ── who it is ────────────────────────────────────────────────────────────────────────────────────────────────────

    def do_GET(self) -> None:
        server = self.server
        answers: dict[tuple[str, str], Any] = {
            ("llama", "/props"): {
                "default_generation_settings": {"n_ctx": server.context}, "model_path": "/m/tiny.gguf",
                "total_slots": 1,
            },
            ("llama", "/v1/models"): {"data": [{"id": server.model, "owned_by": "llamacpp"}]},
            ("sglang", "/get_model_info"): {"model_path": server.model, "is_generation": True},
            ("sglang", "/v1/models"): {"data": [{"id": server.model, "max_model_len": server.context}]},
            ("vllm", "/v1/models"): {"data": [{"id": server.model, "max_model_len": server.context}]},
            ("ollama", "/v1/models"): {"object": "list", "data": [{"id": "llama3:latest", "owned_by": "library"}]},
            ("web", "/v1/models"): "<html>",
        }  # fmt: skip
        self.keys()
        if server.fault == "locked":
            return self.say({"error": "Unauthorized"}, 401)
        if server.fault == "loading":
            return self.say({"error": {"message": "Loading model", "code": 503}}, 503)
        answer = answers.get((server.kind, self.path))
        return self.say(answer or {"detail": "Not Found"}, 200 if answer else 404)

    def keys(self) -> None:
        self.server.keys.append(self.headers.get("Authorization"))

    def say(self, answer: Any, status: int = 200) -> None:
        data = json.dumps(answer).encode() if not isinstance(answer, str) else answer.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    # ── what it says ─────────────────────────────────────────────────────────────────────────────────────────────────

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.keys()
        if self.path == "/tokenize":
            text = body.get("prompt", body.get("content"))
            return self.say({"tokens": server.tokenizer.encode(text)})
        server.asked.append(body)
        server.was_asked.set()
        if server.fault == "refuses":
            return self.say({"error": {"message": "This model's maximum\x1b[31m context length is 5 tokens."}}, 400)
        if server.fault == "silent":
            server.closing.wait()
            return None
        prompt = body.get("prompt") or body["input_ids"]
        params = body.get("sampling_params", body)
        ids = list(server.replies.pop(0))[: params[LIMIT[server.kind]]]
        cached = common_prefix(server.live, prompt[:-1])
        server.live = [*prompt, *ids[:-1]]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self.stream(getattr(self, server.kind)(prompt, ids, cached))
        except OSError:
            server.hung_up.set()
        return None

    def stream(self, events: Iterator[dict[str, Any]]) -> None:
        fault = self.server.fault
        for number, event in enumerate(events):
            if number == self.server.good and fault:
                return self.misbehave(event)
            self.chunk(f"data: {json.dumps(event)}\n\n")
        if self.server.kind != "llama":
            self.chunk("data: [DONE]\n\n")
        with suppress(OSError):
            self.wfile.write(b"0\r\n\r\n")
        return None

    def misbehave(self, event: dict[str, Any]) -> None:
        """``event`` would have been next."""
        fault, wait = self.server.fault, self.server.closing.wait
        if fault in SAID:
            self.chunk(f"data: {SAID[fault]}\n\n")
        if fault == "hangs up":
            self.connection.shutdown(socket.SHUT_RDWR)
        if fault == "ends":
            self.wfile.write(b"0\r\n\r\n")
        if fault == "falls silent":
            wait()
        if fault in ENDLESS:
            begin, piece, pause = ENDLESS[fault]
            self.chunk(begin)
            while not wait(pause):
                self.chunk(piece or f"data: {json.dumps(event)}\n\n")

    def chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def vllm(self, prompt: list[int], ids: list[int], cached: int) -> Iterator[dict[str, Any]]:
        stop = TOKENIZER.stop_ids
        for i, token_id in enumerate(ids):
            last = i == len(ids) - 1
            stopped = token_id in stop
            reason = ("stop" if stopped else "length") if last else None
            choice = {
                "index": 0, "text": "", "finish_reason": reason, "stop_reason": token_id if stopped else None,
                "token_ids": [] if stopped and not self.server.tells_stop else [token_id],
                "prompt_token_ids": None if i else prompt,
            }  # fmt: skip
            yield {"choices": [choice], "usage": None}
        usage = {"prompt_tokens": len(prompt), "prompt_tokens_details": {"cached_tokens": cached}}
        yield {"choices": [], "usage": usage}

    def sglang(self, prompt: list[int], ids: list[int], cached: int) -> Iterator[dict[str, Any]]:
        sent = 0
        for end in [*range(2, len(ids), 2), len(ids)]:  # two at a time, as --stream-interval 2 has it
            stopped = end == len(ids) and ids[-1] in TOKENIZER.stop_ids
            reason = {"type": "stop", "matched": ids[-1]} if stopped else {"type": "length"}
            said = end - (stopped and not self.server.tells_stop)
            yield {
                "text": "", "output_ids": ids[sent:said] if self.server.delta else ids[:said],
                "meta_info": {
                    "finish_reason": reason if end == len(ids) else None, "prompt_tokens": len(prompt),
                    "completion_tokens": said, "cached_tokens": cached,
                },
            }  # fmt: skip
            sent = said

    def llama(self, prompt: list[int], ids: list[int], cached: int) -> Iterator[dict[str, Any]]:
        """As process_token() does: nothing while a character is incomplete, then the last id, and none at the end."""
        waiting = b""
        for number, token_id in enumerate(ids, 1):
            special = token_id in TOKENIZER.stop_ids
            waiting += b"" if special else TOKENIZER.token_bytes(token_id)
            timings = {"cache_n": cached, "prompt_n": len(prompt) - cached, "predicted_n": number}
            if not incomplete(waiting) and (self.server.tells_stop or not special):
                text = waiting.decode("utf-8", errors="replace")
                yield {"index": 0, "content": text, "tokens": [token_id], "stop": False, "timings": timings}
                waiting = b""
        kind = "eos" if ids[-1] in TOKENIZER.stop_ids else "limit"
        yield {"index": 0, "content": "", "tokens": [], "stop": True, "stop_type": kind, "timings": timings}


def incomplete(data: bytes) -> bool:
    """Whether a character has begun at the end of ``data`` and is not over."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 != 0x80:
            return (
                back < {0xC0: 2, 0xE0: 3, 0xF0: 4}.get(byte & 0xF0 if byte < 0xF0 else 0xF0, 1)
                if byte >= 0xC0
                else False
            )
    return False


def without_weights(folder: Path) -> Path:
    """What a user has of a model whose weights are elsewhere."""
    save_huggingface(reference(), folder, llamachat={"variant": "3.1"})
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    return folder


def open_remote(server: EngineServer, patience: float = 30.0) -> RemoteRuntime:
    """A runtime for a server that may be faulty; it said who it is before it was."""
    fault, server.fault = server.fault, ""
    engine = find_server(Address(server.url), TOKENIZER).engine
    server.fault = fault
    return RemoteRuntime(Address(server.url, patience=patience), engine, TOKENIZER, name="m", context=server.context)


async def say(
    runtime: RemoteRuntime,
    prompt: Sequence[int] = PROMPT,
    sampling: SamplingParams = DRAWN,
    got: list[int] | None = None,
) -> list[int]:
    """What came, in ``got`` also if it ends in an error."""
    got = [] if got is None else got
    async for token_id in runtime.generate(prompt, sampling, TOKENIZER.stop_ids):
        got.append(token_id)
    return got
