"""`python -m tests.support.no_locks …`: the `talon` command where no file can be locked, as on some network shares.

The kernel itself refuses flock(2), by a filter (seccomp(2)): such a file system is not to be had for tests.
"""

import ctypes
import errno
import platform

from talon.cli.main import main

FLOCK = {"x86_64": 73, "aarch64": 32}
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ANSWER_ERRNO, ALLOW = 0x00050000, 0x7FFF0000


class Instruction(ctypes.Structure):
    """struct sock_filter."""

    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(Instruction)))


def refuse_locks() -> None:
    """Have flock(2) answer ENOLCK in this process and its children from now on."""
    instructions = (Instruction * 4)(
        Instruction(LOAD_WORD, 0, 0, 0),
        Instruction(JUMP_IF_EQUAL, 0, 1, FLOCK[platform.machine()]),
        Instruction(RETURN, 0, 0, ANSWER_ERRNO | errno.ENOLCK),
        Instruction(RETURN, 0, 0, ALLOW),
    )
    program = Program(4, instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0


if __name__ == "__main__":
    refuse_locks()
    main()
