"""``llamachat sandbox run``, ``llamachat bench sandbox``, and what the code leaves for its user."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llamachat.doors import bench, sandbox
from llamachat.tools.python import PythonSession
from llamachat.tools.python_worker.frames import HEAD, checked, pack

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


def run(job: object) -> "tuple[int, str, str]":
    text = job if isinstance(job, str) else json.dumps(job)
    done = CliRunner().invoke(sandbox.app, ["run"], input=text)
    return done.exit_code, done.stdout, done.stderr


def test_one_job_in_one_answer_out() -> None:
    cells = [
        "x = open('a.txt').read()",
        "print(x)\nlen(open('b', 'rb').read())",
        "1 / 0",
        "open('out.csv', 'w').write('1')",
    ]
    job = {"cells": cells, "attachments": {"a.txt": "hä", "b": {"b64": "AAEC"}}, "wall": 10}
    status, out, _ = run(job)
    answer = json.loads(out)
    assert status == 0
    assert [result["ok"] for result in answer["results"]] == [True, True, False, True]
    assert (answer["results"][1]["stdout"], answer["results"][1]["value"]) == ("hä\n", "3")
    assert answer["results"][2]["error"].endswith("ZeroDivisionError: division by zero")
    assert answer["results"][3]["files"] == ["out.csv"]
    assert {"name": "policy", "on": True, "detail": "", "hint": ""} in answer["layers"]


@pytest.mark.parametrize(
    ("job", "problem"),
    [
        ("{", "The job is not JSON"),
        ("[]", "The job must be an object."),
        ({"cells": "1"}, '"cells" must be a list of strings.'),
        ({"cells": [], "x": 1}, "The job has an unknown key 'x'."),
        ({"cells": [], "attachments": []}, '"attachments" must be an object.'),
        ({"cells": [], "attachments": {"a": 1}}, "The attachment 'a' must be text"),
        ({"cells": [], "attachments": {"a": {"b64": "?"}}}, "The attachment 'a' is not base64"),
        ({"cells": [], "attachments": {"../a": ""}}, "A file can't be attached as '../a'."),
        ({"cells": [], "attachments": {"": ""}}, "A file can't be attached as ''."),
        ({"cells": [], "attachments": {"n" * 300: ""}}, "A file can't be attached as 'nnn"),
        ({"cells": [], "attachments": {"\ud800": ""}}, "A file can't be attached as '\\ud800'."),
        ({"cells": [], "wall": 0}, '"wall" must be a number of seconds'),
        ({"cells": [], "wall": True}, '"wall" must be a number of seconds'),
    ],
)
def test_a_bad_job_is_one_sentence_and_status_2(job: object, problem: str) -> None:
    status, out, err = run(job)
    assert (status, out) == (2, "")
    assert err.startswith(problem)


def test_the_bench_measures_beside_a_bare_python() -> None:
    done = CliRunner().invoke(bench.app, ["sandbox", "--rounds", "1", "--json"])
    found = json.loads(done.stdout)
    assert set(found["median_ms"]) == {"python -c pass", "cold start", "warm start", "round trip"}
    assert "policy" in found["layers"]


async def test_new_and_changed_files_are_offered_once_and_links_never() -> None:
    python = PythonSession(policy=False)
    first = await python.run(
        "import os\nopen('a.csv', 'w').write('1')\nos.symlink('/etc/passwd', 'l.txt')\nopen('.hidden', 'w').close()\n"
        "os.mkfifo('p')\nos.makedirs('d/e')\nopen('d/e/\\x1b[31m.txt', 'w').write('x')"
    )
    assert sorted(file.name for file in first.artifacts) == ["[31m.txt".replace("[", "_["), "a.csv"]
    assert {file.media_type for file in first.artifacts} == {"text/csv", "text/plain"}
    assert (await python.run("1")).artifacts == ()
    changed = (await python.run("open('a.csv', 'a').write('2')")).artifacts
    assert [Path(file.path).read_text() for file in changed] == ["12"]  # noqa: ASYNC240
    await python.restart()
    again = await python.run("sorted(os.listdir('.')) if 'os' in globals() else open('a.csv').read()")
    assert (again.value, again.artifacts) == ("'12'", ())
    await python.close()


async def test_a_figure_is_offered_as_a_picture() -> None:
    python = PythonSession()
    result = await python.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    assert [(file.name, file.media_type) for file in result.artifacts] == [("figure-1.png", "image/png")]
    assert Path(result.artifacts[0].path).read_bytes().startswith(b"\x89PNG")  # noqa: ASYNC240
    await python.close()


HONEST = {"id": 1, "status": "completed", "value": "1", "error": None, "images": [PNG]}


def test_an_honest_frame_passes() -> None:
    frame = checked(pack(HONEST)[HEAD.size :], 1)
    assert frame == {"status": "completed", "value": "1", "error": None, "images": (base64.b64decode(PNG),)}


@pytest.mark.parametrize(
    "body",
    [
        b"{oops", b"[]", b"[" * 5000, b"\xff", struct.pack(">I", 0),
        *(
            json.dumps(HONEST | change).encode()
            for change in (
                {"id": 2}, {"id": True}, {"id": "1"}, {"status": "splendid"}, {"value": 5}, {"error": []}, {"more": 1},
                {"images": None}, {"images": [1]}, {"images": [PNG] * 9}, {"images": ["!"]}, {"images": ["QUJD"]},
                {"images": ["A" * 4_000_000]},
            )
        ),
    ],
)  # fmt: skip
def test_a_lying_frame_does_not(body: bytes) -> None:
    assert checked(body, 1) is None


CORPUS = Path(__file__).parent / "data/sandbox/benign_public.jsonl"
BENIGN = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", BENIGN, ids=lambda case: case["id"])
async def test_honest_work_works(case: dict[str, Any], tmp_path: Path) -> None:
    python = PythonSession()
    for name, text in case["attachments"].items():
        (tmp_path / name).write_text(text)
        python.attach(tmp_path / name)
    results = [await python.run(cell) for cell in case["cells"]]
    await python.close()
    assert [result.error for result in results if not result.ok] == []
    printed = "\n".join(result.stdout for result in results)
    assert [text for text in case.get("expect_stdout_contains", ()) if text not in printed] == []
    assert case.get("expect_value", "") in f"{results[-1].value}\n{results[-1].stdout}"
    assert sum(result.images for result in results) == case.get("expect_images", 0)
