"""The process that runs a notebook, and then calls its functions. Started by process.py.

It reads lines of JSON from its standard input, and answers each with one. First comes the notebook:
its cells run one after another, also after one that fails. Then come calls.
"""
import json
import os
import sys
from contextlib import suppress
from typing import Any

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000


def main() -> None:
    """Serve until the input ends."""
    requests = os.fdopen(os.dup(0), 'rb')
    replies = os.fdopen(os.dup(1), 'wb')
    nowhere = os.open(os.devnull, os.O_RDWR)
    for handle in 0, 1, 2:                              # what the notebook prints goes nowhere
        os.dup2(nowhere, handle)

    def reply(**answer: Any) -> None:
        replies.write(json.dumps(answer).encode() + b'\n')
        replies.flush()

    start = json.loads(requests.readline())
    reply(network=close_network())
    limit_resources(start['memory'], start['cpu'])
    # IPython starts threads, which would keep the network as it was
    from . import notebook_run

    namespace = notebook_run.run_cells(start['cells'], reply)
    for line in requests:
        reply(**notebook_run.answer(namespace, json.loads(line)))
    os._exit(0)


def close_network() -> str:
    """Close the network for this process and those that it starts. -> by what"""
    with suppress(AttributeError, OSError, ImportError):
        from ctypes import CDLL

        unshare = CDLL(None).unshare
        if unshare(CLONE_NEWNET) == 0 or unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0:
            return 'the kernel'
    sys.addaudithook(_refuse_connection)
    return 'Python'


def _refuse_connection(event: str, _args: Any) -> None:
    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.sendto', 'socket.bind'):
        raise OSError('there is no network while a notebook is graded')


def limit_resources(memory: int, cpu: int) -> None:
    """Limit the address space in bytes, the CPU time in seconds, and the size of files."""
    try:
        import resource
    except ImportError:                                 # Windows
        return
    for limit, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, cpu),
                         (resource.RLIMIT_FSIZE, 1 << 27), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):             # a lower limit is set already
            resource.setrlimit(limit, (value, value))


if __name__ == '__main__':
    main()
