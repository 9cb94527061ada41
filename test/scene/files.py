"""Scenes of files that changed between the dump and the restore."""
import fcntl
import os
import shutil
import subprocess

from harness import CONFLICT, HERE, Failure
from trial import Skip  # of test/e2e

DATA = b"0123456789" * 10
READER = """
f = open("data", "rb", buffering=0)
check(f.read(10), b"0123456789", "before")
ready()
check(f.read(10), b"0123456789", "after")
"""


def write(path, data, mode="wb"):
    with open(path, mode) as f:
        f.write(data)


def scene_data_grown(s):
    """A data file has grown: the restore warns, naming path and sizes, and goes on."""
    write(s.file("data"), DATA)
    s.begin(READER)
    s.save()
    write(s.file("data"), DATA[:50], "ab")
    s.words(s.restore(), "data", 100, 150)
    s.finish()


def scene_data_refuse(s):
    """--changed-files=refuse refuses it, =ignore says nothing."""
    write(s.file("data"), DATA)
    s.begin(READER)
    s.save()
    write(s.file("data"), DATA[:50], "ab")
    s.restore_fails(CONFLICT, "data", 100, 150, more=["--changed-files=refuse"])
    s.no_words(s.restore("--changed-files=ignore"), "150")
    s.finish()


def scene_data_same(s):
    """An unchanged file gives no warning, even under refuse; a read of it changes nothing."""
    write(s.file("data"), DATA)
    s.begin(READER)
    s.save()
    with open(s.file("data"), "rb") as f:
        f.read()
    s.no_words(s.restore("--changed-files=refuse"), "data")
    s.finish()


def scene_data_missing(s):
    """A file that is gone: the message names it, no process is left, and with the file it works."""
    write(s.file("data"), DATA)
    s.begin(READER)
    s.save()
    os.rename(s.file("data"), s.file("elsewhere"))
    status, text = s.ckpt("restore", "-D", s.image, "-d", ok=False)
    if status == 0:
        raise Failure("it was restored without its file")
    s.words(text, s.file("data"), "No such file")
    s.nothing_left()
    os.rename(s.file("elsewhere"), s.file("data"))
    s.restore()
    s.finish()


def scene_data_other(s):
    """Another file has taken the name: it is not what was open."""
    write(s.file("data"), DATA)
    s.begin(READER)
    s.save()
    os.unlink(s.file("data"))
    write(s.file("data"), b"x" * 7)
    s.restore_fails(CONFLICT, "data", 100, 7, more=["--changed-files=refuse"])
    s.words(s.restore(), "data")
    os.kill(s.pid, 9)


def build(s, name, value):
    out = s.file(name)
    done = subprocess.run([os.environ.get("CC", "cc"), "-O1", "-Wl,--build-id", "-I", os.path.join(HERE, "../e2e"),
                           f"-DVALUE={value}", os.path.join(HERE, "program.c"), "-o", out],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Failure(done.stdout)
    return out


def scene_exe_changed(s):
    """Another build of the executable is refused by its build id; a copy of the same build is taken."""
    build(s, "program", 1)
    build(s, "other", 2)
    shutil.copy(s.file("program"), s.file("copy"))
    s.begin(s.file("program"))
    s.save()
    os.rename(s.file("other"), s.file("program"))
    s.restore_fails(CONFLICT, s.file("program"), "build id")
    s.restore_fails(CONFLICT, s.file("program"), "build id", more=["--changed-files=refuse"])
    os.rename(s.file("copy"), s.file("program"))
    s.restore()
    s.finish()


def scene_mapped_cut(s):
    """A mapped data file has become shorter than its mapping: the warning says where, and what comes."""
    write(s.file("data"), DATA * 200)
    s.begin("""
import mmap
f = open("data", "rb")
m = mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
ready()
check(m[:10], b"0123456789", "the beginning is there")
""")
    s.save()
    os.truncate(s.file("data"), 4096)
    s.restore_fails(6, s.file("data"), 20000, 4096, more=["--changed-files=refuse"])
    s.words(s.restore(), s.file("data"), 20000, 4096, "shorter than its mapping", "SIGBUS")
    s.finish()


def scene_lock_taken(s):
    """Somebody has taken a lock in the meantime: the restore names the file, and fails as a whole."""
    write(s.file("data"), DATA)
    s.begin("""
import fcntl
f = open("data", "r+b")
fcntl.flock(f, fcntl.LOCK_EX)
ready()
""")
    s.save()
    s.words(s.ckpt("show", s.image), "regfile    " + s.file("data"))
    with open(s.file("data"), "rb") as f:
        fcntl.flock(f, fcntl.LOCK_SH)
        status, text = s.ckpt("restore", "-D", s.image, "-d", ok=False)
        if status == 0:
            raise Failure("it was restored without its lock")
        s.words(text, s.file("data"), "flock")
        s.nothing_left()
    s.restore()
    s.finish()


# Writes to a disk by io_submit, and waits for that after the go.
AIO_WRITER = """
import ctypes, mmap, struct
libc = ctypes.CDLL(None, use_errno=True)
SETUP, GETEVENTS, SUBMIT = (206, 208, 209) if os.uname().machine == "x86_64" else (0, 4, 2)
disk = os.open(open("disk").read(), os.O_RDWR | os.O_DIRECT)
room = mmap.mmap(-1, 4096)
room.write(b"written" + bytes(4089))
ctx = ctypes.c_ulong(0)
check(libc.syscall(SETUP, 8, ctypes.byref(ctx)), 0, "io_setup")
at = ctypes.addressof(ctypes.c_char.from_buffer(room))
cb = ctypes.create_string_buffer(struct.pack("QIIHhIQQqQII", 77, 0, 0, 1, 0, disk, at, 4096, 0, 0, 0, 0), 64)
one = (ctypes.c_void_p * 1)(ctypes.addressof(cb))
check(libc.syscall(SUBMIT, ctx, ctypes.c_long(1), one), 1, "io_submit")
ready()
event, soon = ctypes.create_string_buffer(32), ctypes.create_string_buffer(struct.pack("ll", 5, 0), 16)
check(libc.syscall(GETEVENTS, ctx, ctypes.c_long(1), ctypes.c_long(1), event, soon), 1, "io_getevents")
check(struct.unpack("QQqq", event.raw)[0::2], (77, 4096), "the event")
"""


def slow_disk(s):
    """A disk whose writes wait while the file system with its file is frozen. Returns where that is mounted."""
    outer, at = s.file("outer"), s.file("mnt")
    for program in ("mkfs.ext4", "losetup", "fsfreeze"):
        if not shutil.which(program):
            raise Skip(f"{program} is not installed")
    os.mkdir(at)
    for command in (["truncate", "-s", "16M", outer], ["mkfs.ext4", "-q", outer], ["mount", "-o", "loop", outer, at],
                    ["truncate", "-s", "1M", f"{at}/disk"]):
        if subprocess.run(command, stderr=subprocess.PIPE, check=False).returncode != 0:
            raise Skip(f"{' '.join(command)} is not possible here")
    disk = subprocess.run(["losetup", "--show", "-f", f"{at}/disk"], stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    if not disk:
        raise Skip("there is no free loop device")
    with open(s.file("disk"), "w", encoding="ascii") as f:
        f.write(disk)
    return at, disk


def scene_aio_slow(s):
    """A write that the disk takes its time for (io_submit) is done when the image is made, and is not lost."""
    at, disk = slow_disk(s)
    thaw = None
    try:
        subprocess.run(["fsfreeze", "-f", at], check=True)
        thaw = subprocess.Popen(["sh", "-c", f"sleep 0.6; fsfreeze -u {at}"])
        s.begin(AIO_WRITER)
        with open(f"/sys/block/{os.path.basename(disk)}/inflight", encoding="ascii") as f:
            if f.read().split() != ["0", "1"]:
                raise Failure("the test is broken: the write is not under way")
        s.words(s.ckpt("explain", "-t", str(s.pid)), "aio", "IOCB_CMD_POLL")
        s.save()
        s.restore()
        s.finish()
    finally:
        if thaw:
            thaw.wait()
        subprocess.run(["losetup", "-d", disk], check=False)
        subprocess.run(["umount", "-l", at], check=False)


def scene_dnotify(s):
    """Nobody tells of F_NOTIFY; that a directory has been used so is noticed, and said."""
    s.begin("""
import fcntl
os.mkdir("watched")
d = os.open("watched", os.O_RDONLY)
fcntl.fcntl(d, fcntl.F_SETSIG, signal.SIGRTMIN + 2)
fcntl.fcntl(d, fcntl.F_NOTIFY, fcntl.DN_RENAME | fcntl.DN_MULTISHOT)
ready()
""")
    s.words(s.ckpt("dump", "-R", "-t", str(s.pid), "-D", s.image), f"pid {s.pid}", "F_NOTIFY")
    s.finish()
