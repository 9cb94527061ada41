"""Scenes of files that changed between the dump and the restore."""
import fcntl
import os
import shutil
import subprocess

from harness import CONFLICT, HERE, Failure

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
