"""What a process may no longer do, once it reads files of strangers: this file takes it away, by seccomp and limits.

- No sockets (io_uring would be a way round), no new programs or processes, no look into others, no signals to them.
- A refused call fails with EPERM, so that a library says what it lacked; another architecture's calls kill.
- Nothing here can be taken back by the process itself (`no_new_privs`).
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct

FILES = 64  # open files beside those that stand
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
MODE_FILTER = 2
CLONE_THREAD = 0x10000
EPERM, ENOSYS = 1, 38

# Classic BPF (linux/filter.h, linux/seccomp.h): load a word, jump if equal / if at least / if a bit is set, return.
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
X32 = 0x40000000  # the third way to call on x86_64 has numbers of its own

# fmt: off
SINCE_2018 = {  # one number on every architecture
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "pidfd_open": 434, "pidfd_getfd": 438,
    "process_madvise": 440, "mount_setattr": 442,
}
X86_64 = SINCE_2018 | {
    "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47,
    "bind": 49, "listen": 50, "socketpair": 53, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101,
    "rt_sigqueueinfo": 129, "personality": 135, "pivot_root": 155, "prctl": 157, "chroot": 161, "mount": 165,
    "umount2": 166, "reboot": 169, "init_module": 175, "delete_module": 176, "tkill": 200, "tgkill": 234,
    "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272, "accept4": 288,
    "rt_tgsigqueueinfo": 297, "perf_event_open": 298, "recvmmsg": 299, "name_to_handle_at": 303,
    "open_by_handle_at": 304, "sendmmsg": 307, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
    "finit_module": 313, "bpf": 321, "execveat": 322, "userfaultfd": 323,
}
AARCH64 = SINCE_2018 | {
    "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "personality": 92, "unshare": 97,
    "kexec_load": 104, "init_module": 105, "delete_module": 106, "ptrace": 117, "kill": 129, "tkill": 130,
    "tgkill": 131, "rt_sigqueueinfo": 138, "reboot": 142, "prctl": 167, "socket": 198, "socketpair": 199,
    "bind": 200, "listen": 201, "accept": 202, "connect": 203, "sendto": 206, "recvfrom": 207, "sendmsg": 211,
    "recvmsg": 212, "add_key": 217, "request_key": 218, "keyctl": 219, "execve": 221,
    "rt_tgsigqueueinfo": 240, "perf_event_open": 241, "accept4": 242, "recvmmsg": 243, "name_to_handle_at": 264,
    "open_by_handle_at": 265, "setns": 268, "sendmmsg": 269, "process_vm_readv": 270, "process_vm_writev": 271,
    "finit_module": 273, "bpf": 280, "execveat": 281, "userfaultfd": 282,
}
# architecture's audit number, refused calls, clone, prlimit64
MACHINES = {
    "x86_64": (0xC000003E, X86_64, 56, 302),
    "aarch64": (0xC00000B7, AARCH64, 220, 261),
}
# fmt: on
CLONE3 = 435


def die_with_parent(parent: int) -> None:
    """The kernel ends this process when `parent` ends; at once if it has already."""
    _libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def confine() -> bool:
    """For the rest of this process' life. False where the kernel or the machine has no such filter: then the limits
    stand alone."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    program = _program()
    if program is None:
        return False
    libc = _libc()
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    text = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a count, and the address of the instructions at its own alignment.
    fprog = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(text)))
    return bool(libc.prctl(PR_SET_SECCOMP, MODE_FILTER, fprog, 0, 0) == 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _program() -> bytes | None:
    machine = MACHINES.get(platform.machine())
    if machine is None:
        return None
    architecture, refused, clone, prlimit = machine
    steps = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
    ]
    if platform.machine() == "x86_64":
        steps += [(JUMP_AT_LEAST, 0, 1, X32), (RETURN, 0, 0, ERRNO | EPERM)]
    for number in sorted(refused.values()):
        steps += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | EPERM)]
    # Its flags lie in memory where no filter can look; the C library takes clone instead.
    steps += [(JUMP_EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, ERRNO | ENOSYS)]
    # A thread, not a process.
    steps += [(JUMP_EQUAL, 0, 4, clone), (LOAD, 0, 0, FIRST_ARGUMENT), (JUMP_SET, 1, 0, CLONE_THREAD)]
    steps += [(RETURN, 0, 0, ERRNO | EPERM), (RETURN, 0, 0, ALLOW)]
    # Its own limits, nobody else's.
    steps += [(JUMP_EQUAL, 0, 3, prlimit), (LOAD, 0, 0, FIRST_ARGUMENT), (JUMP_EQUAL, 1, 0, 0)]
    steps += [(RETURN, 0, 0, ERRNO | EPERM), (RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("@HBBI", *step) for step in steps)
