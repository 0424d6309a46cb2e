"""A room of its own for one process: Linux namespaces, mounts and dropped privileges, by ctypes. Knows no Python rules.

Works for root and, by a user namespace, for everybody else. Sources: namespaces(7), user_namespaces(7),
mount_namespaces(7), pivot_root(2), capabilities(7), mount_setattr(2).
"""

import ctypes
import os
import resource
import shutil
import struct
from collections.abc import Iterable

NOBODY = 65534

_NEW_USER, _NEW_NS, _NEW_PID, _NEW_NET = 0x10000000, 0x00020000, 0x20000000, 0x40000000
_NEW_IPC, _NEW_UTS, _NEW_CGROUP = 0x08000000, 0x04000000, 0x02000000
_ROOM = _NEW_NS | _NEW_PID | _NEW_NET | _NEW_IPC | _NEW_UTS

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 1, 2, 4, 8, 32
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MNT_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR = 442
_AT_RECURSIVE, _ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 0x8000, 1, 2, 4

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 4, 24, 38, 47
_CAPABILITY_VERSION_3 = 0x20080522


def enter() -> bool:
    """Leave all that is shared: the next child is process 1 of a new world. Says whether that is still the system's
    root, who may become somebody else. Raises OSError if it is not allowed."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and _libc().unshare(_ROOM) == 0:
        _libc().unshare(_NEW_CGROUP)
        return True
    _check(_libc().unshare(_NEW_USER | _ROOM))
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    _libc().unshare(_NEW_CGROUP)
    return False


def furnish(readable: Iterable[str], attached: str, fonts: str, scratch_bytes: int) -> None:
    """Make a root that holds ``readable`` at their own paths, /attached and a few devices, all read-only, and /scratch.

    /scratch is a tmpfs of ``scratch_bytes`` and at most 20,000 files; /mpl holds a copy of the files in ``fonts``.
    There is no /proc, /sys or /dev/shm.
    """
    os.umask(0o022)  # root's workers are nobody, who must get through the folders made here
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    base = "/proc"  # nothing beneath it is needed any more
    _mount("tmpfs", base, "tmpfs", _MS_NOSUID, "mode=0755,size=1m,nr_inodes=2000")
    for path in readable:
        _bind(path, base + path)
    for device in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"):
        _bind(device, base + device, device=True)
    _bind(attached, base + "/attached")
    for name, size, files in (("scratch", scratch_bytes, 20_000), ("mpl", 4 << 20, 100)):
        os.mkdir(f"{base}/{name}")
        options = f"mode=0700,size={size},nr_inodes={files}"
        _mount("tmpfs", f"{base}/{name}", "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, options)
    copy_files(fonts, base + "/mpl")
    os.chdir(base)
    _check(_libc().syscall(_PIVOT_ROOT[os.uname().machine], b".", b"."))
    _check(_libc().umount2(b".", _MNT_DETACH))
    _mount("none", "/", "", _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID)
    os.chdir("/scratch")


def copy_files(source: str, target: str) -> None:
    """Copy the plain files of a folder; a folder that is not there has none."""
    if os.path.isdir(source):
        for entry in os.scandir(source):
            if entry.is_file(follow_symlinks=False):
                shutil.copyfile(entry.path, f"{target}/{entry.name}")


def give_to_nobody(*folders: str) -> None:
    """Hand over what root made, before root becomes nobody."""
    for folder in folders:
        for path in (folder, *(entry.path for entry in os.scandir(folder))):
            os.chown(path, NOBODY, NOBODY)


def _bind(source: str, target: str, device: bool = False) -> None:
    """``source`` as it is on disk, read-only, at ``target``."""
    real = os.path.realpath(source)
    if not os.path.exists(real):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(real):
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o444))
    _mount(real, target, "", _MS_BIND | _MS_REC)
    if not device:
        attributes = struct.pack("=QQQQ", _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV, 0, 0, 0)
        set_ = _libc().syscall(_MOUNT_SETATTR, -100, target.encode(), _AT_RECURSIVE, attributes, ctypes.c_size_t(32))
        if set_ != 0:  # before Linux 5.12
            locked = os.statvfs(target).f_flag & (_MS_NOSUID | _MS_NODEV | _MS_NOEXEC | 1024 | 2048)
            _mount("none", target, "", _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV | locked)


def drop_privileges(become_nobody: bool) -> None:
    """No capability is left, or can be had again; root becomes nobody."""
    libc = _libc()
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    if become_nobody and os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    libc.prctl(_PR_CAP_AMBIENT, 4, 0, 0, 0)  # PR_CAP_AMBIENT_CLEAR_ALL
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _check(libc.capset(header, bytes(24)))
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def die_with_parent() -> None:
    """SIGKILL when the process that forked this one ends. Changing the user undoes it, so call it last."""
    _check(_libc().prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0))


def limit(kind: int, value: int) -> None:
    """Lower a limit, soft and hard. macOS refuses some; the wall clock still holds there."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(kind, (value, value))
    except (ValueError, OSError):
        return


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    _check(
        _libc().mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()), target
    )


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, where: str = "") -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), where or None)
