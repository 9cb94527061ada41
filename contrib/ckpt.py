"""libckpt for Python, by ctypes: a program that checkpoints itself, and is told of checkpoints. No build step, no dependency.

    import ckpt

    crid = ckpt.checkpoint(dir="/var/tmp/state", force=True)
    if crid:
        print("saved as", crid)     # the program goes on
    else:
        print("restored")           # the same call returns again, after a restart

For dumps and restores of other programs see ckpt_client.py.
"""
import contextlib
import ctypes
import os

_BEFORE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_AFTER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)


class Restart(ctypes.Structure):
    """What is different after a restart: struct ckpt_restart."""
    _fields_ = [("crid", ctypes.c_uint64), ("gone_ns", ctypes.c_int64), ("host_changed", ctypes.c_bool),
                ("boot_changed", ctypes.c_bool), ("pid_changed", ctypes.c_bool),
                ("addresses_changed", ctypes.c_bool)]


_RESTARTED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(Restart))


class _Hooks(ctypes.Structure):
    _fields_ = [("before", _BEFORE), ("after", _AFTER), ("restarted", _RESTARTED), ("arg", ctypes.c_void_p)]


class _Self(ctypes.Structure):
    _fields_ = [("dir", ctypes.c_char_p), ("force", ctypes.c_bool), ("tree", ctypes.c_bool),
                ("socket", ctypes.c_char_p), ("command", ctypes.c_char_p), ("wait_ms", ctypes.c_uint),
                ("ret_error", ctypes.POINTER(ctypes.c_void_p))]


_lib = ctypes.CDLL(os.environ.get("LIBCKPT", "libckpt.so.0"))
_lib.ckpt_checkpoint.restype = ctypes.c_int64
_lib.ckpt_checkpoint.argtypes = [ctypes.POINTER(_Self)]
_lib.ckpt_hooks_add.argtypes = [ctypes.POINTER(_Hooks)]
_libc = ctypes.CDLL(None)
_libc.free.argtypes = [ctypes.c_void_p]
_kept = []  # what C calls must not be collected


def checkpoint(dir=None, force=False, tree=False, socket=None, command=None, wait_ms=0):
    """The crid of the checkpoint, or 0 when it returns again after a restart; OSError says why there is none."""
    text = ctypes.c_void_p()
    path = [os.fsencode(p) if p is not None else None for p in (dir, socket, command)]
    opts = _Self(path[0], force, tree, path[1], path[2], wait_ms, ctypes.pointer(text))
    crid = _lib.ckpt_checkpoint(ctypes.byref(opts))
    if crid >= 0:
        return crid
    why = ctypes.string_at(text).decode(errors="replace") if text else os.strerror(-crid)
    _libc.free(text)
    raise OSError(-crid, why)


def add_hooks(before=None, after=None, restarted=None):
    """before() returns 0, or an errno for "not now"; after(crid or -errno); restarted(Restart).

    For checkpoints from outside (ckpt dump -t PID) they are called by another thread."""
    hooks = _Hooks(_BEFORE(lambda _: -(before() or 0) if before else 0),
                   _AFTER(lambda _, result: after(result) if after else None),
                   _RESTARTED(lambda _, restart: restarted(restart.contents) if restarted else None), None)
    _kept.append(hooks)
    if _lib.ckpt_hooks_add(ctypes.byref(hooks)) < 0:
        raise MemoryError


def disable():
    """Begin a section in which there is no checkpoint of this program, neither its own nor from outside."""
    _lib.ckpt_disable()


def enable():
    """End it, in the same thread."""
    _lib.ckpt_enable()


@contextlib.contextmanager
def disabled():
    """Such a section, for `with`."""
    disable()
    try:
        yield
    finally:
        enable()
