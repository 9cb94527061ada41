"""The stage: every scene is played in a process and a directory of its own, and one line says how it went."""
import os
import shutil
import sys
import time
import traceback

from harness import CKPT, Failure
from trial import FAIL, PASS, SKIP, Skip  # of test/e2e, as are the next two
from run import end_children, subreaper, unmount


def play(scene, directory):
    """In the scene's own process: everything that it leaves behind becomes its child, and is ended."""
    subreaper()
    text, status = "", PASS
    try:
        text = scene(directory) or ""
    except Skip as e:
        text, status = str(e), SKIP
    except Failure as e:
        text, status = str(e), FAIL
    except BaseException:
        text, status = traceback.format_exc(), FAIL
    end_children()
    unmount(directory)
    with open(os.path.join(directory, "result.text"), "w", encoding="utf-8") as f:
        f.write(text)
    return status


def report(name, directory, status, seconds, again):
    try:
        with open(os.path.join(directory, "result.text"), encoding="utf-8") as f:
            text = f.read().strip()
    except OSError:
        text = "its process died"
    if status == PASS:
        print(f"ok      {name} ({seconds:.1f} s{', ' + text if text else ''})", flush=True)
    elif status == SKIP:
        print(f"skipped {name}: {text}", flush=True)
    else:
        print(f"FAILED  {name}: " + text.replace("\n", "\n    "), flush=True)
        with open(os.path.join(directory, "out"), "a+", encoding="utf-8", errors="replace") as f:
            f.seek(0)
            for line in f.readlines()[-10:]:
                print("    | " + line.rstrip())
        print(f"    kept: {directory}\n    again: {again} {name}", flush=True)
        return
    shutil.rmtree(directory, ignore_errors=True)


def play_all(scenes, names, directory, again):
    """
    Plays scenes one after another. scenes: of each name a function that gets its directory; it may return
    what there is to say of it, or raise Failure or Skip. again: the command that plays one of them again.
    Return: the exit code for the driver.
    """
    unknown = set(names) - set(scenes)
    if unknown:
        sys.exit(f"no such scene: {', '.join(sorted(unknown))}; there are: {' '.join(scenes)}")
    if not os.access(CKPT, os.X_OK):
        sys.exit(f"{CKPT} is not there: build it first, or set CKPT")
    count = {PASS: 0, FAIL: 0, SKIP: 0}
    for name in names or scenes:
        where = os.path.join(os.path.abspath(directory), name)
        unmount(where)
        shutil.rmtree(where, ignore_errors=True)
        os.makedirs(where)
        sys.stdout.flush()
        at, pid = time.monotonic(), os.fork()
        if pid == 0:
            status = FAIL
            try:
                status = play(scenes[name], where)
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        status = status if status in (PASS, SKIP) else FAIL
        count[status] += 1
        report(name, where, status, time.monotonic() - at, again)
    print(f"{count[PASS]} passed, {count[FAIL]} failed, {count[SKIP]} skipped")
    return 1 if count[FAIL] else 0
