"""Ties a program to its parent: asks the kernel for a signal when the parent dies, then becomes the program.

Run as a script, `python -I -S leash.py PARENT_PID SIGNAL PROGRAM ARGUMENT...`, so that the wish is made after
the fork and before the program, in a process with one thread. The wish survives `exec` and the entry into a
user namespace; a set-user-ID program would drop it. It is tied to the parent's *thread*: start programs from
one that lives as long as they should. Only Linux knows the wish; elsewhere the program just starts.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(parent_pid: int, death_signal: int, command: list[str]) -> None:
    """Make the wish and become `command`; exits with a message when the parent is gone already."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            sys.exit(f"The kernel refused PR_SET_PDEATHSIG: {os.strerror(ctypes.get_errno())}.")
    if os.getppid() != parent_pid:
        sys.exit(f"The parent (pid {parent_pid}) is gone, so {command[0]} is not started.")
    try:
        os.execvp(command[0], command)  # noqa: S606 - a program given as a list, no shell
    except OSError as error:
        sys.exit(f"{command[0]} could not be started: {error.strerror}.")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
