"""What the model's code may and may not do: everyday programs run, walks into the interpreter are refused."""

import importlib.util
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import llamachat
from llamachat.tools.python import PythonSession
from llamachat.tools.python_worker.guards import ALLOWED


@pytest.fixture
async def python() -> AsyncIterator[PythonSession]:
    session = PythonSession()
    yield session
    await session.close()


def _programs() -> dict[str, tuple[str, str]]:
    """Name → (code, value of its last expression), from blocks ``=== name``, code, ``--- value``."""
    programs = {}
    for block in (Path(__file__).parent / "data" / "everyday.txt").read_text("utf-8").split("=== ")[1:]:
        name, rest = block.split("\n", 1)
        code, value = rest.rsplit("\n--- ", 1)
        programs[name] = (code, value.strip())
    return programs


EVERYDAY = _programs()


@pytest.mark.parametrize("name", EVERYDAY)
async def test_everyday_code_runs(python: PythonSession, name: str) -> None:
    code, value = EVERYDAY[name]
    result = await python.run(code)
    assert (result.value, result.error) == (value, None)


ABSENT = next(name for name in sorted(ALLOWED) if importlib.util.find_spec(name) is None)
REFUSED = {
    "subclasses": ("().__class__.__base__.__subclasses__()", "'__base__' is hidden here, but for your own classes"),
    "globals": ("def f(): pass\nf.__globals__", "line 2: '__globals__' is hidden here; use the plain function"),
    "code": ("(lambda: 0).__code__", "'__code__' is hidden"),
    "frames": ("(i for i in ()).gi_frame", "'gi_frame' is hidden: frames and code objects can't be reached here"),
    "traceback": ("try: 1/0\nexcept Exception as e: e.__traceback__.tb_frame", "'tb_frame' is hidden"),
    "pattern": ("match (i for i in ()):\n    case object(gi_frame=f): f", "'gi_frame' is hidden"),
    "getattr": ("getattr((), '__cla' + 'ss__').mro; getattr(int, '__sub' + 'classes__')", "'__subclasses__' is hidden"),
    "hasattr": ("hasattr(int, '__globals__')", "'__globals__' is hidden"),
    "setattr": ("def f(): pass\nsetattr(f, '__code__', 1)", "'__code__' is hidden"),
    "attrgetter": ("import operator\noperator.attrgetter('a.__globals__')", "'__globals__' is hidden"),
    "methodcaller": ("from operator import methodcaller as m\nm('__subclasses__')(int)", "'__subclasses__' is hidden"),
    "format": ("'{0.__class__}'.format(1)", "'__class__' can't be reached from a format string"),
    "format_type": ("str.format('{0.__class__}', 1)", "'__class__' can't be reached"),
    "format_map": ("'{a.__class__}'.format_map({'a': 1})", "'__class__' can't be reached"),
    "formatter": ("import string\nstring.Formatter().format('{0._x}', 1)", "'_x' can't be reached"),
    "builtins": ("__builtins__", "the name '__builtins__' is not available here"),
    "guard": ("def _getattr_(a, b): return 1", "the name '_getattr_' is not available here"),
    "rebind": ("import math as _write_", "the name '_write_' is not available here"),
    "global": ("def f():\n    global _echo_", "the name '_echo_' is not available here"),
    "class": ("x = [1]\nx.__class__ = tuple", "'__class__' can't be changed here, but for objects of your own"),
    "import": ("__import__('os')", "__import__ can't be called here; use an import statement"),
    "eval": ("eval('().__globals__')", "NotAllowed: line 1: '__globals__' is hidden here"),
    "exec": ("exec('import socket')", "ImportError: the module socket can't be imported here"),
    "exec_names": ("names = {}\nexec('1', names)\nnames['__builtins__']", "KeyError: '__builtins__'"),
    "own_names": ("globals()['_getattr_'] = 1", "ValueError: _getattr_"),
    "compile": ("compile('1', '', 'eval')", "RuntimeError: compile() is not available here"),
    "system": ("import os\nos.system('id')", "os.system is not available here: no other programs can be run here"),
    "modules": ("import sys\nsys.modules['os']", "KeyError: 'os'"),
    "hop": ("import dataclasses\ndataclasses.sys._getframe", "AttributeError: sys._getframe is private"),
    "value": ("import dataclasses\nmatch 1:\n    case dataclasses.sys.modules: 1", "can't stand in a pattern here"),
    "augmented": ("s = ''\ns.format += 1", "'format' can't be changed here"),
    "library": ("import string\ndel string.Formatter.get_field", "is not yours and can't be changed here"),
    "script": ("__file__", "there is no script file here; the working folder is os.getcwd()"),
    "hop_private": ("import random\nrandom._os.system('id')", "AttributeError: random._os is private"),
    "hop_foreign": ("import uuid\nuuid.os.popen", "AttributeError: os.popen is not available here"),
    "from_private": ("from random import _os", "ImportError: cannot import name '_os' from 'random'"),
    "patch": ("import json\njson.dumps = 1", "AttributeError: the module json can't be changed here"),
    "network": ("import socket", "ImportError: the module socket can't be imported here: there is no network here"),
    "process": ("import subprocess", "the module subprocess can't be imported here: no other programs can be run here"),
    "relative": ("from . import x", "can't be imported here"),
    "missing": (f"import {ABSENT}.nowhere", f"ModuleNotFoundError: {ABSENT} is not installed here; do without it"),
    "star": ("try: pass\nexcept* ValueError: pass", "except* can't be used here; catch ExceptionGroup"),
    "read": ("open('/etc/passwd')", "PermissionError: /etc/passwd: only files in the working folder can be read"),
    "read_io": ("import io\nio.open('/etc/passwd')", "PermissionError: /etc/passwd"),
    "opener": ("open('a', 'w', opener=lambda path, flags: 4)", "unexpected keyword argument 'opener'"),
    "file_io": ("import io\nio.FileIO('a', 'w')", "AttributeError: io.FileIO can't be used here"),
    "read_path": ("from pathlib import Path\nPath('/etc/passwd').read_text()", "PermissionError: /etc/passwd"),
    "list": ("import os\nos.listdir('/root')", "PermissionError: /root"),
    "write": ("open('../x', 'w')", "PermissionError: ../x: files can only be written in the working folder"),
    "remove": ("import os\nos.remove('/etc/hostname')", "PermissionError: /etc/hostname"),
    "rename": ("import os\nopen('a', 'w').close()\nos.rename('a', '../a')", "PermissionError: ../a"),
    "link": ("from pathlib import Path\nPath('l').symlink_to('/etc/passwd')", "PermissionError: /etc/passwd"),
    "numpy_file": ("import numpy as np\nnp.fromfile('/etc/passwd')", "PermissionError: /etc/passwd"),
    "numpy_pickle": (
        "import numpy as np\nwith open('x.npy', 'wb') as f: f.write(b'cposix\\nsystem\\n(S\"id\"\\ntR.')\n"
        "np.load('x.npy', allow_pickle=True)",
        "a pickle that needs posix.system can't be loaded here",
    ),
    "numpy_library": ("import numpy as np\nnp.ctypeslib.ctypes", "numpy.ctypeslib can't be used here"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_walks_outside_are_refused_in_words(python: PythonSession, name: str) -> None:
    code, message = REFUSED[name]
    result = await python.run(code)
    assert not result.ok
    assert message in str(result.error)


IMPORTED = """
import sys
from llamachat.tools.python_worker.audit import Files, watch
TEXT = "def f(self): return self.__dict__"
files = Files("/nowhere", packages=FOLDER)
sys.path[:] = [place for place in sys.path if files.holds_runtime(place)]
watch(files, ())
exec(compile("import writes_code", "<cell 1>", "exec"))
try:
    exec(compile("exec(TEXT)", "<cell 2>", "exec"))
except PermissionError as error:
    print(error)
"""


def test_a_library_may_compile_what_it_likes_while_it_is_imported(tmp_path: Path) -> None:
    """scipy.stats makes classes of text that reads ``self.__dict__``; text that comes later could be the model's."""
    (tmp_path / "writes_code.py").write_text("exec('def f(self): return self.__dict__')\nprint('imported')")
    environment = {"PYTHONPATH": f"{Path(llamachat.__file__).parents[1]}:{tmp_path}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", IMPORTED.replace("FOLDER", repr(str(tmp_path)))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout == "imported\ntext that uses '__dict__' can't be evaluated here\n", done.stderr


async def test_what_is_refused_can_be_caught_and_lived_with(python: PythonSession) -> None:
    code = "try:\n    import requests\nexcept ImportError:\n    requests = None\nhasattr(requests, 'get'), dir()"
    assert (await python.run(code)).value == "(False, ['__doc__', '__name__', 'requests'])"
