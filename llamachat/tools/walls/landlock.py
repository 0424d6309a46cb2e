"""Landlock: this process may open only what is named beneath the given folders. Knows the kernel's ABI only.

Sources: landlock(7), linux/landlock.h. ABI 1 has file rights, 2 adds renames between folders, 3 truncation, 4 TCP,
5 device ioctls, 6 scopes (abstract sockets and signals stay inside); what a kernel lacks is left out.
"""

import ctypes
import os
import struct
from collections.abc import Iterable

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on all machines
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = (1 << bit for bit in range(6, 13))
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

_READ = _READ_FILE | _READ_DIR
_CHANGE = (
    _READ
    | _WRITE_FILE
    | _REMOVE_DIR
    | _REMOVE_FILE
    | _MAKE_DIR
    | _MAKE_REG
    | _MAKE_FIFO
    | _MAKE_SYM
    | _REFER
    | _TRUNCATE
)  # no devices, no sockets
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE | _EXECUTE | _IOCTL_DEV


def abi() -> int:
    """The kernel's version of Landlock; 0 if it has none."""
    return max(0, int(_libc().syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION_FLAG)))


def restrict(readable: Iterable[str], writable: Iterable[str]) -> int:
    """Leave this process and its children only the paths beneath these, for good. Returns the ABI. Raises OSError."""
    version = abi()
    known = (1 << 13) - 1 | _REFER * (version >= 2) | _TRUNCATE * (version >= 3) | _IOCTL_DEV * (version >= 5)
    net, scope = 0b11 * (version >= 4), 0b11 * (version >= 6)
    attributes = struct.pack("=QQQ", known, net, scope)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _check(_libc().syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0))
    try:
        for paths, rights in ((readable, _READ), (writable, _CHANGE)):
            for path in paths:
                _allow(ruleset, path, rights & known)
        libc = _libc()
        _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _check(libc.syscall(_RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what is not there needs no rule
        return
    try:
        rights = rights if os.path.isdir(path) else rights & _OF_FILES
        _check(_libc().syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0))
    finally:
        os.close(place)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
