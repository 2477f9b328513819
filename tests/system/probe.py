"""Runs inside the sandbox of the unit and prints what it may and may not do, as JSON: errno by name, or `done`."""

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import sqlite3
import sys
from collections.abc import Callable
from typing import Any


def tried(act: Callable[[], Any]) -> str:
    """`done`, or the name of the error."""
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except ValueError as error:
        return str(error)
    return "done"


def _opened(path: str, flags: int) -> None:
    os.close(os.open(path, flags, 0o600))


def _called(name: str, *arguments: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def _database(folder: str) -> None:
    base = sqlite3.connect(f"{folder}/probe.db")
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("CREATE TABLE IF NOT EXISTS t (x)")
    base.commit()
    base.close()


def _sent(address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        caller.sendto(b"probe", (address, 9))


WRITE = os.O_WRONLY | os.O_CREAT
TTY = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK
ACTS: dict[str, Callable[[], Any]] = {
    **{f"write {place}": lambda place=place: _opened(f"{place}/probe", WRITE)
       for place in ("/etc", "/etc/plumeline", "/opt/plumeline", "/var", "/usr", "/root", "/home", "/boot")},
    "write state": lambda: _opened("/var/lib/plumeline/probe", WRITE),
    "write run": lambda: _opened("/run/plumeline/probe", WRITE),
    "database": lambda: _database("/var/lib/plumeline"),
    "serial": lambda: _opened("/dev/ttyS0", TTY),
    "other device": lambda: _opened("/dev/fuse-like", os.O_RDWR),
    "kernel log": lambda: _opened("/dev/kmsg", os.O_RDONLY),
    "raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close(),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "tcp": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close(),
    "inside": lambda: _sent("127.0.0.1"),
    "outside": lambda: _sent("192.0.2.1"),
    "clock": lambda: _called("settimeofday", ctypes.byref((ctypes.c_long * 2)(1, 0)), None),
    "host name": lambda: _called("sethostname", b"probe", 5),
    "namespace": lambda: _called("unshare", 0x10000000),
    "mount": lambda: _called("mount", b"none", b"/var/lib/plumeline", b"tmpfs", 0, None),
    "ptrace": lambda: _called("ptrace", 16, os.getppid(), None, None),
    "set-uid": lambda: os.setuid(0),
    "set-uid file": lambda: os.chmod("/var/lib/plumeline/probe", 0o4755),
    "written code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
    "core limit": lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)),
    "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
}  # fmt: skip

told = {name: tried(act) for name, act in ACTS.items()}
told["core"] = str(resource.getrlimit(resource.RLIMIT_CORE))
told["processes"] = str(sum(name.isdigit() for name in os.listdir("/proc")))
json.dump(told, sys.stdout)
