"""A seccomp filter, assembled here: which system calls code in the worker may make. Knows numbers, no files.

An allow list of some 200 calls: files by descriptor and name, memory, clocks, signals to itself, threads. What it is
meant to refuse gets EPERM, so that Python raises PermissionError; what nobody thought of, ENOSYS, which libc takes for
an old kernel. No process can be forked or executed, no socket made but a stream pair, no privilege asked for, and
``prctl`` can't undo the death signal. Sources: seccomp(2), linux/filter.h, linux/seccomp.h.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Iterator

_ALLOWED = """
    read:0:63 write:1:64 readv:19:65 writev:20:66 pread64:17:67 pwrite64:18:68 preadv:295:69 pwritev:296:70
    preadv2:327:286 pwritev2:328:287 close:3:57 close_range:436:436 lseek:8:62 open:2: openat:257:56 creat:85:
    dup:32:23 dup2:33: dup3:292:24 pipe:22: pipe2:293:59 fcntl:72:25 flock:73:32 fsync:74:82 fdatasync:75:83
    sync_file_range:277:84 fallocate:285:47 ftruncate:77:46 truncate:76:45 fadvise64:221:223 readahead:187:213
    copy_file_range:326:285 sendfile:40:71 splice:275:76 tee:276:77 stat:4: fstat:5:80 lstat:6: newfstatat:262:79
    statx:332:291 statfs:137:43 fstatfs:138:44 access:21: faccessat:269:48 faccessat2:439:439 readlink:89:
    readlinkat:267:78 getdents:78: getdents64:217:61 getcwd:79:17 chdir:80:49 fchdir:81:50 rename:82:
    renameat:264:38 renameat2:316:276 mkdir:83: mkdirat:258:34 rmdir:84: unlink:87: unlinkat:263:35 link:86:
    linkat:265:37 symlink:88: symlinkat:266:36 chmod:90: fchmod:91:52 fchmodat:268:53 fchmodat2:452:452 chown:92:
    fchown:93:55 lchown:94: fchownat:260:54 utime:132: utimes:235: utimensat:280:88 futimesat:261: umask:95:166
    mknod:133: mknodat:259:33 getxattr:191:8 lgetxattr:192:9 fgetxattr:193:10 listxattr:194:11 llistxattr:195:12
    flistxattr:196:13 mmap:9:222 munmap:11:215 mprotect:10:226 mremap:25:216 madvise:28:233 mincore:27:232
    msync:26:227 brk:12:214 membarrier:324:283 mlock:149:228 munlock:150:229 exit:60:93 exit_group:231:94
    futex:202:98 futex_waitv:449:449 set_tid_address:218:96 set_robust_list:273:99 get_robust_list:274:100
    rseq:334:293 gettid:186:178 getpid:39:172 getppid:110:173 getpgrp:111: getpgid:121:155 getsid:124:156
    getuid:102:174 geteuid:107:175 getgid:104:176 getegid:108:177 getgroups:115:158 getresuid:118:148
    getresgid:120:150 rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 rt_sigpending:127:136
    rt_sigtimedwait:128:137 rt_sigsuspend:130:133 sigaltstack:131:132 pause:34: restart_syscall:219:128 alarm:37:
    setitimer:38:103 getitimer:36:102 nanosleep:35:101 clock_nanosleep:230:115 clock_gettime:228:113
    clock_getres:229:114 gettimeofday:96:169 time:201: times:100:153 getrusage:98:165 getrlimit:97:163
    setrlimit:160:164 prlimit64:302:261 sysinfo:99:179 uname:63:160 getcpu:309:168 getrandom:318:278
    getpriority:140:141 sched_yield:24:124 sched_getaffinity:204:123 sched_getparam:143:121
    sched_getscheduler:145:120 sched_get_priority_max:146:125 sched_get_priority_min:147:126 arch_prctl:158: poll:7:
    ppoll:271:73 select:23: pselect6:270:72 epoll_create:213: epoll_create1:291:20 epoll_ctl:233:21 epoll_wait:232:
    epoll_pwait:281:22 epoll_pwait2:441:441 eventfd:284: eventfd2:290:19 timerfd_create:283:85
    timerfd_settime:286:86 timerfd_gettime:287:87 wait4:61:260 waitid:247:95 capget:125:90 sendto:44:206
    recvfrom:45:207 sendmsg:46:211 recvmsg:47:212 shutdown:48:210 getsockopt:55:209 setsockopt:54:208
    getsockname:51:204 getpeername:52:205
"""
"""name:number on x86_64:number on aarch64 (asm/unistd_64.h, asm-generic/unistd.h)."""
_REFUSED = """
    fork:57: vfork:58: execve:59:221 execveat:322:281 socket:41:198 connect:42:203 bind:49:200 listen:50:201
    accept:43:202 accept4:288:242 ptrace:101:117 process_vm_readv:310:270 process_vm_writev:311:271 unshare:272:97
    setns:308:268 mount:165:40 umount2:166:39 pivot_root:155:41 chroot:161:51 setuid:105:146 setgid:106:144
    setreuid:113:145 setregid:114:143 setresuid:117:147 setresgid:119:149 setgroups:116:159 capset:126:91
    setsid:112:157 setpgid:109:154 tkill:200:130 pidfd_send_signal:424:424 rt_sigqueueinfo:129:138
    rt_tgsigqueueinfo:297:240 memfd_create:319:279 shmget:29:194 msgget:68:186 semget:64:190 mq_open:240:180
    io_uring_setup:425:425 userfaultfd:323:282 bpf:321:280 perf_event_open:298:241 keyctl:250:219 add_key:248:217
    request_key:249:218 setxattr:188:5 lsetxattr:189:6 fsetxattr:190:7 removexattr:197:14 personality:135:92
    sched_setaffinity:203:122 sched_setscheduler:144:119 setpriority:141:140 sethostname:170:161 reboot:169:142
    swapon:167:224 kexec_load:246:104 init_module:175:105 finit_module:313:273
"""
_RULED = """
    socketpair:53:199 kill:62:129 tgkill:234:131 prctl:157:167 clone:56:220 ioctl:16:29
"""
"""Those that depend on their arguments; see ``_rules``."""
_METADATA = frozenset(
    "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat futimesat".split()
)

_MACHINES = {"x86_64": (1, 0xC000003E), "aarch64": (2, 0xC00000B7)}  # column above; linux/audit.h
_LOAD, _JEQ, _JGE, _JSET, _AND, _RET = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06  # linux/bpf_common.h
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EPERM, _ENOSYS = 0x00050000 | 1, 0x00050000 | 38
_NR, _ARCH, _ARGS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000

_AF_UNIX, _SOCK_STREAM = 1, 1
_CLONE_THREAD, _CLONE_NEW = 0x00010000, 0x7E020080  # the new namespaces: user mount pid net ipc uts cgroup time
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # they type into a terminal
_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA = 15, 16, 0x53564D41

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2

_Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, constant."""


def supported() -> bool:
    """Whether this machine's numbers are known, and its kernel filters."""
    known = platform.machine() in _MACHINES
    return known and ctypes.CDLL(None).prctl(21, 0, 0, 0, 0) != -1  # PR_GET_SECCOMP


def install(*, metadata: bool = True) -> None:
    """Filter this process's system calls for good; without ``metadata``, no mode, owner or time of a file can be set.

    Landlock leaves those alone, so they are only safe where foreign files are out of sight. Raises OSError. The process
    must have one thread only.
    """
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in assemble(platform.machine(), os.getpid(), metadata=metadata)
    )
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def assemble(machine: str, pid: int, *, metadata: bool = True) -> list[_Instruction]:
    """The program for ``machine``; ``pid`` is the only process that may be signalled."""
    column, arch = _MACHINES[machine]
    program: list[_Instruction] = [(_LOAD, 0, 0, _ARCH), (_JEQ, 1, 0, arch), (_RET, 0, 0, _KILL), (_LOAD, 0, 0, _NR)]
    program += [(_JGE, 0, 1, _X32), (_RET, 0, 0, _KILL)]
    for name, number in _numbers(_ALLOWED, column):
        verdict = _ALLOW if metadata or name not in _METADATA else _EPERM
        program += [(_JEQ, 0, 1, number), (_RET, 0, 0, verdict)]
    for _, number in _numbers(_REFUSED, column):
        program += [(_JEQ, 0, 1, number), (_RET, 0, 0, _EPERM)]
    rules = _rules(pid)
    for name, number in _numbers(_RULED, column):
        program += [(_JEQ, 0, len(rules[name]), number), *rules[name]]
    return [*program, (_RET, 0, 0, _ENOSYS)]


def _rules(pid: int) -> dict[str, list[_Instruction]]:
    """What decides each of ``_RULED``: every list ends in a return."""
    return {
        "socketpair": [
            _argument(0), (_JEQ, 0, 3, _AF_UNIX),
            _argument(1), (_AND, 0, 0, 0xF), (_JEQ, 1, 0, _SOCK_STREAM),
            (_RET, 0, 0, _EPERM), (_RET, 0, 0, _ALLOW),
        ],  # a datagram pair could still send to any named socket
        "kill": _only(0, pid),
        "tgkill": _only(0, pid),
        "prctl": _only(0, _PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA),
        "clone": [
            _argument(0), (_JSET, 2, 0, _CLONE_NEW), (_JSET, 0, 1, _CLONE_THREAD),
            (_RET, 0, 0, _ALLOW), (_RET, 0, 0, _EPERM),
        ],
        "ioctl": [
            _argument(1), (_JEQ, 1, 0, _TIOCSTI), (_JEQ, 0, 1, _TIOCLINUX),
            (_RET, 0, 0, _EPERM), (_RET, 0, 0, _ALLOW),
        ],
    }  # fmt: skip


def _only(index: int, *values: int) -> list[_Instruction]:
    """Allow a call if its argument is one of ``values``."""
    tests: list[_Instruction] = [(_JEQ, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [_argument(index), *tests, (_RET, 0, 0, _EPERM), (_RET, 0, 0, _ALLOW)]


def _argument(index: int) -> _Instruction:
    """Load the low half of an argument; all that are tested here are of 32 bits, as the kernel reads them."""
    return _LOAD, 0, 0, _ARGS + 8 * index


def _numbers(table: str, column: int) -> Iterator[tuple[str, int]]:
    for entry in table.split():
        fields = entry.split(":")
        if fields[column]:
            yield fields[0], int(fields[column])
