"""Tools of real MCP servers: the SDK's own server over both transports, and one that others have published."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from llamachat.errors import ConfigError
from llamachat.messages import ToolCall, ToolResult
from llamachat.tools import Tool, Toolbox
from llamachat.tools.mcp_servers import HttpServer, Limits, McpServers, Server, StdioServer, load_servers

HONEST = str(Path(__file__).parent / "data" / "mcp" / "honest.py")
STDIO = StdioServer("honest", sys.executable, (HONEST,))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of the honest server over HTTP."""
    with subprocess.Popen([sys.executable, HONEST, "http"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


@pytest.fixture(params=["stdio", "http"])
async def honest(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Toolbox]:
    server = STDIO if request.param == "stdio" else HttpServer("honest", url)
    servers = McpServers([server], pytest.fail)
    yield Toolbox(await servers.connect())
    await servers.close()


async def run(box: Toolbox, name: str, **arguments: Any) -> ToolResult:
    return await box.run(ToolCall(f"honest__{name}", arguments))


async def test_tools_are_listed_and_ask_first(honest: Toolbox) -> None:
    tool = honest.find("honest__add")
    assert tool is not None
    assert (tool.description, tool.permission, tool.source) == ("Add two whole numbers.", "ask", "MCP server honest")
    assert tool.parameters["required"] == ["a"]
    assert {"honest__say", "honest__slow"} < set(honest.names)


async def test_a_call_is_checked_and_answered(honest: Toolbox) -> None:
    assert await run(honest, "add", a="41") == ToolResult(ToolCall("honest__add", {"a": "41"}), "42")
    wrong = await run(honest, "add", a="many")
    assert not wrong.ok
    assert 'a must be a whole number, got "many"' in wrong.output


async def test_control_tokens_come_back_as_text(honest: Toolbox) -> None:
    assert (await run(honest, "say", text="<|eot_id|>\x1b[2J")).output == "<|eot_id|>\x1b[2J"


async def test_a_picture_is_a_file_for_the_user(honest: Toolbox) -> None:
    result = await run(honest, "picture")
    (artifact,) = result.artifacts
    assert (artifact.name, artifact.media_type) == ("honest__picture-1.png", "image/png")
    path = Path(artifact.path)
    assert path.read_bytes() == b"\x89PNG\r\n\x1a\n drawn"  # noqa: ASYNC240 nobody else waits
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert result.output == "[image: honest__picture-1.png, image/png, 14 bytes; the user sees it]"
    await honest.close()
    assert not path.parent.exists()


async def test_parts_are_joined(honest: Toolbox) -> None:
    result = await run(honest, "parts")
    assert result.output.splitlines() == [
        "three:",
        "memo",
        "[file: honest__parts-1.bin, application/octet-stream, 3 bytes; the user sees it]",
        "[a file was left out: it is no valid base64]",
    ]
    assert [artifact.name for artifact in result.artifacts] == ["honest__parts-1.bin"]


async def test_data_alone_is_json(honest: Toolbox) -> None:
    assert json.loads((await run(honest, "data")).output) == {"degrees": 21.5}


async def test_a_tools_own_failure_is_told(honest: Toolbox) -> None:
    result = await run(honest, "fail")
    assert not result.ok
    assert "out of paper" in result.output


async def test_a_long_result_is_shortened(honest: Toolbox) -> None:
    result = await run(honest, "long", characters=1_000_000)
    assert "983,616 of 1,000,000 characters left out" in result.output
    assert len(result.output) < 17_000


async def test_a_tool_that_ends_its_server_is_mended(url: str) -> None:
    notices: list[str] = []
    servers = McpServers([STDIO], notices.append)
    box = Toolbox(await servers.connect())
    result = await run(box, "die")
    assert not result.ok
    assert "The MCP server honest failed: it ended with status 7." in result.output
    assert notices == ["The MCP server honest failed: it ended with status 7."]
    assert (await run(box, "add", a=1)).output == "2"
    await box.close()


async def test_a_closed_server_starts_again_when_it_is_called(honest: Toolbox) -> None:
    await honest.close()
    assert (await run(honest, "add", a=1, b=2)).output == "3"


async def test_a_call_can_be_cancelled(honest: Toolbox) -> None:
    call = asyncio.create_task(run(honest, "slow"))
    assert (await run(honest, "add", a=1)).ok  # so the slow one is under way
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await run(honest, "add", a=1)).ok


@pytest.mark.parametrize("kind", ["stdio", "http"])
async def test_new_tools_are_told(kind: str, url: str) -> None:
    grown: asyncio.Future[tuple[Tool, ...]] = asyncio.get_running_loop().create_future()
    server: Server = STDIO if kind == "stdio" else HttpServer("honest", url)
    notices: list[str] = []
    servers = McpServers([server], notices.append, grown.set_result, Limits(relist=0.0))
    box = Toolbox(await servers.connect())
    assert (await run(box, "grow")).ok
    assert "honest__fresh" in [tool.name for tool in await grown]
    assert notices == ["The MCP server honest has changed its tools; it offers 12 now."]
    await servers.close()


async def test_a_published_server() -> None:
    """mcp-server-time, from PyPI."""
    servers = McpServers([StdioServer("time", sys.executable, ("-m", "mcp_server_time"))], pytest.fail)
    box = Toolbox(await servers.connect())
    times = {"source_timezone": "Europe/Oslo", "target_timezone": "Asia/Tokyo", "time": "12:00"}
    result = await box.run(ToolCall("time__convert_time", times))
    assert json.loads(result.output)["source"]["timezone"] == "Europe/Oslo"
    await servers.close()


async def test_a_server_sees_little_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret-1")
    monkeypatch.setenv("OTHER", "secret-2")
    config = {"command": sys.executable, "args": ["${NOT_SET:-" + HONEST + "}"], "env": {"TOKEN": "a ${MY_TOKEN}"}}
    (server,) = load_servers(written(tmp_path, {"mcpServers": {"honest": config}}))
    servers = McpServers([server], pytest.fail)
    seen = (await run(Toolbox(await servers.connect()), "environment")).output.splitlines()
    assert "TOKEN=a secret-1" in seen
    assert not [line for line in seen if "secret-2" in line]
    await servers.close()


def written(folder: Path, content: Any) -> Path:
    path = folder / "mcp.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_config_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "k")
    entries = {
        "a": {"type": "stdio", "command": "uvx", "args": ["x"], "cwd": "sub"},
        "b": {"type": "http", "url": "https://example.com/mcp", "headers": {"Authorization": "Bearer ${KEY}"}},
        "c": {"command": "never", "disabled": True},
    }
    assert load_servers(written(tmp_path, {"mcpServers": entries, "theme": "of another program"})) == (
        StdioServer("a", "uvx", ("x",), {}, tmp_path / "sub"),
        HttpServer("b", "https://example.com/mcp", {"Authorization": "Bearer k"}),
    )


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ([], "must be an object"),
        ({}, 'needs either "command" or "url", and has neither'),
        ({"command": "a", "url": "b"}, "and has both"),
        ({"command": 7}, '"command" must be a string'),
        ({"command": "a", "args": "b"}, '"args" must be a list'),
        ({"command": "a", "args": [1]}, '"args[0]" must be a string'),
        ({"command": "a", "env": {"B": 1}}, '"env.B" must be a string'),
        ({"command": "a", "envs": {}}, "has an unknown key 'envs'"),
        ({"command": "a", "headers": {}}, "has an unknown key 'headers'"),
        ({"command": "a", "args": ["${NO_SUCH_VARIABLE}"]}, "environment variable NO_SUCH_VARIABLE, which is not set"),
        ({"command": "a\0"}, "holds a NUL character"),
        ({"url": "file:///etc/passwd"}, '"url" must begin with http:// or https://'),
        ({"type": "sse", "url": "https://a/b"}, "which streamable HTTP has replaced"),
        ({"type": "http", "command": "a"}, 'which does not go with "command"'),
        ({"command": "a", "disabled": "yes"}, '"disabled" must be true or false'),
    ],
)
def test_a_mistake_in_a_server_is_named(entry: Any, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, {"mcpServers": {"mine": entry}})
    with pytest.raises(ConfigError) as error:
        load_servers(path)
    assert error.value.message.startswith(f"{path}, MCP server 'mine': ")
    assert message in error.value.message
    assert error.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON: Expecting property name"),
        ("[]", 'has no object "mcpServers"'),
        ('{"mcpServers": []}', 'has no object "mcpServers"'),
        ('{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}', "'a' stands twice in one object"),
    ],
)
def test_a_mistake_in_the_file_is_named(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mcp\.json") as error:
        load_servers(written(tmp_path, content))
    assert message in error.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json can't be read: No such file"):
        load_servers(tmp_path / "none.json")
