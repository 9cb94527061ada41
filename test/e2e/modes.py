"""The modes: every way of being dumped and restored that a victim is driven through."""
import os
import random
import shutil
import signal
import subprocess
import time

from trial import CKPT, Failure, Skip, pids_inside, proc_state, proc_tree, status_text, wait_for


def mode_plain(t):
    t.start()
    t.finish()


def leave_refused(t):
    """A dump that would leave the victim running is refused, since it could not be without danger."""
    status, text = t.ckpt("dump", "-t", str(t.pid), "-D", t.path("A"), "-R", ok=False)
    if status == 0 or t.victim.leave_refused not in text:
        raise Failure(f"not refused for '{t.victim.leave_refused}' ({status_text(status)}):\n{text}")
    if os.listdir(t.img):
        raise Failure(f"the refused dump left {os.listdir(t.img)} behind")
    t.undisturbed()
    t.finish()


def mode_goon(t):
    t.start()
    if t.victim.leave_refused:
        return leave_refused(t)
    t.dump("A", "-R")
    t.undisturbed()
    t.finish()


def mode_again(t):
    t.start()
    for name in "ABC":
        t.dump(name, "-R")
        t.undisturbed()
    t.finish()


def mode_restore(t):
    t.start()
    t.die("A")
    t.ckpt("restore", "-D", t.path("A"), "-d")
    t.back()
    t.undisturbed()
    t.finish()


def restore_inside(t, name, inside, *more):
    """In a pid namespace of its own, where its pid is the old one. The victim is then the one outside."""
    t.ckpt("restore", "-D", t.path(name), "-d", "--pidns", "--pidfile", os.path.join(t.dir, "pidfile"), *more)
    t.pid = t.runs()
    if pids_inside(t.pid) != [t.pid, inside]:
        raise Failure(f"pid {t.pid} is {pids_inside(t.pid)} inside, the dumped process was {inside}")


def second_inside(t, was_stopped):
    """What was restored frozen is dumped from outside: no difference. Then it goes on."""
    t.dump("B", "-R")
    status, text = t.ckpt("diff", t.path("A"), t.path("B"), ok=False)
    for pid in {t.pid, *t.stopped()}:
        if pid == t.pid or pids_inside(pid)[-1] not in was_stopped:
            os.kill(pid, signal.SIGCONT)
    if status != 0 or text.strip():
        raise Failure(f"ckpt diff A B ({status_text(status)}):\n{text[:4000]}")
    wait_for("running after SIGCONT", t.left(), lambda: proc_state(t.pid) not in ("T", "t"))


def mode_pidns(t):
    """In a pid namespace of its own the victim finds what it has had; a second dump, from outside, is the first."""
    t.start()
    inside = t.pid
    again = "cycle" not in t.victim.no and not t.victim.leave_refused
    was_stopped = [pids_inside(pid)[-1] for pid in t.stopped()]
    t.die("A")
    restore_inside(t, "A", inside, *(["--frozen"] if again else []))
    if again:
        second_inside(t, was_stopped)
    t.back()
    t.undisturbed()
    t.finish()
    t.nothing_left()


def mode_late(t):
    """Dumped before, and gone on: what the first dump broke off goes on in the second one's image."""
    t.start()
    t.dump("A", "-R")
    t.undisturbed()
    time.sleep(0.02)
    t.die("B")
    t.ckpt("restore", "-D", t.path("B"), "-d")
    t.back()
    t.undisturbed()
    t.finish()


def restore_that_stays(t, *more, **options):
    """A restore whose process stays until the program's end, once that runs. Return: it, and the pid that it tells."""
    args = ["restore", "-D", t.path("A"), "--pidfile", os.path.join(t.dir, "pidfile"), *more]
    with open(os.path.join(t.dir, "log"), "a") as log:
        log.write(f"$ ckpt {' '.join(args)} (in the foreground)\n")
        log.flush()
        proc = subprocess.Popen([CKPT, *args], cwd=t.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
    return proc, t.runs(proc, t.left())


def mode_fg(t):
    """The foreground restore exits as the victim exits."""
    t.start()
    t.die("A")
    proc, pid = restore_that_stays(t)
    if pid != t.pid:
        raise Failure(f"the pidfile says {pid}, the dumped process was {t.pid}")
    t.back()
    t.go()
    try:
        status = proc.wait(t.left())
    except subprocess.TimeoutExpired:
        raise Failure(f"ckpt restore does not end; the victim's state: {proc_state(t.pid)}") from None
    if proc_state(t.pid) is not None:
        raise Failure(f"ckpt restore has ended ({status_text(status)}), the victim lives on")
    t.verdict(status)


def mode_exec(t):
    """A process of ours becomes the victim: it has that one's number, and ends as it ends."""
    t.start()
    t.die("A")
    proc, pid = restore_that_stays(t, "--exec", start_new_session=t.victim.session)
    proc.returncode = 0  # this file waits for it by pid, Popen must not
    if pid != proc.pid:
        raise Failure(f"the pidfile says {pid}, the command was {proc.pid}")
    with open(os.path.join(t.dir, "renumbered"), "w", encoding="ascii") as f:
        f.write(f"{t.pid} {pid}\n")
    t.pid = pid
    t.back()
    t.undisturbed()
    t.finish()


def mode_cycle(t):
    """What is restored is what was dumped: a second dump shows no difference."""
    t.start()
    was_stopped = t.stopped()
    t.die("A")
    t.ckpt("restore", "-D", t.path("A"), "-d", "--frozen")
    t.dump("B", "-R")
    status, text = t.ckpt("diff", t.path("A"), t.path("B"), ok=False)
    # the root's first thread may be dead, and shows no stop then
    for pid in {t.pid, *t.stopped()}:
        if pid == t.pid or pid not in was_stopped:
            os.kill(pid, signal.SIGCONT)
    t.back()
    if status != 0 or text.strip():
        raise Failure(f"ckpt diff A B ({status_text(status)}):\n{text[:4000]}")
    wait_for("running after SIGCONT", t.left(), lambda: proc_state(t.pid) not in ("T", "t"))
    t.undisturbed()
    t.finish()


def mode_faults(t):
    """A dump that fails harms nothing and leaves nothing; a restore that fails leaves no process."""
    status, text = t.ckpt("check", "--faults", ok=False)
    if status != 0:
        raise Skip("ckpt check --faults is not there")
    t.start()
    reached = 0
    for n, fault in enumerate(text.split()):
        name = f"F{n}"
        t.family = proc_tree(t.pid)
        at = time.monotonic()
        status, text = t.ckpt("dump", "-t", str(t.pid), "-D", t.path(name), *t.options(),
                              fault=fault, ok=False)
        if status != 0:
            reached += 1
            try:
                t.undisturbed()
            except Failure as e:
                raise Failure(f"dump with fault '{fault}': {e}\n{text[-1000:]}") from None
            if fault == "dump.kill":
                t.ckpt("verify", t.path(name))  # commit first, kill last: the image is there, and whole
                shutil.rmtree(t.path(name))
            if os.listdir(t.img):
                raise Failure(f"dump with fault '{fault}' left {os.listdir(t.img)} behind")
            continue
        if t.reap_in_time() != -signal.SIGKILL:
            raise Failure(f"dump with fault '{fault}': the victim ended by itself")
        t.gone_at = at
        t.after_death()
        status, text = t.ckpt("restore", "-D", t.path(name), "-d", fault=fault, ok=False)
        if status != 0:
            reached += 1
            try:
                t.nothing_left()
            except Failure as e:
                raise Failure(f"restore with fault '{fault}': {e}\n{text[-1000:]}") from None
            t.ckpt("restore", "-D", t.path(name), "-d")
        t.back()
        t.undisturbed()
        shutil.rmtree(t.path(name))
    if not reached:
        raise Failure("no fault point was reached")
    t.finish()


def mode_kill(t):
    """The tool is killed at a random instant of a dump: the victim goes on, no image is believed."""
    t.start()
    began = time.monotonic()
    t.dump("whole", "-R")
    whole = time.monotonic() - began
    seed = int(os.environ.get("E2E_SEED", random.randrange(1 << 30)))
    rnd = random.Random(seed)
    for n in range(10 * t.loops if t.loops > 100 else 2 * t.loops):
        after = rnd.uniform(0, 1.1 * whole)
        name = f"K{n}"
        proc = subprocess.Popen([CKPT, "dump", "-t", str(t.pid), "-D", t.path(name), "-R",
                                 *t.options()], cwd=t.dir,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        time.sleep(after)
        proc.kill()
        status = proc.wait()
        try:
            t.undisturbed()
            if status != 0 and os.path.exists(t.path(name)):
                done, text = t.ckpt("verify", t.path(name), ok=False)
                if done == 0 and status < 0 and not os.path.exists(os.path.join(t.path(name), "manifest")):
                    raise Failure(f"a half image is believed:\n{text}")
        except Failure as e:
            raise Failure(f"E2E_SEED={seed} round {n}, killed after {after * 1e3:.3f} ms: {e}") from None
        shutil.rmtree(t.path(name), ignore_errors=True)
    status, text = t.ckpt("dump", "-t", str(t.pid), "-D", t.path("last"), "-R", ok=False)
    # one that is stopped must not be let run to leave what the last killed dump has left in it
    if status != 0 and not ("of a dump that was killed in the midst" in text and t.stopped()):
        raise Failure(f"the last dump ({status_text(status)}):\n{text[-2000:]}")
    t.undisturbed()
    t.finish()


def mode_slow(t):
    """The tool is stopped at random instants, for longer than a victim waits for it: a dump is still good."""
    t.start()
    for n in range(3 * t.loops):
        proc = subprocess.Popen([CKPT, "dump", "-v", "-v", "-t", str(t.pid), "-D", t.path(f"S{n}"), "-R",
                                 *t.options()], cwd=t.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)
        for _ in range(4):
            time.sleep(random.uniform(0.001, 0.01))
            if proc.poll() is None:
                proc.send_signal(signal.SIGSTOP)
                time.sleep(0.08)
                proc.send_signal(signal.SIGCONT)
        text = proc.communicate()[0]
        if proc.returncode != 0:
            raise Failure(f"dump {n}: {status_text(proc.returncode)}\n{text[-2000:]}")
        t.undisturbed()
        shutil.rmtree(t.path(f"S{n}"))
    t.die("A")
    t.ckpt("restore", "-D", t.path("A"), "-d")
    t.back()
    t.finish()


def mode_loop(t):
    """Dumped and restored again and again: nothing drifts, the last image is the first."""
    t.start()
    for n in range(t.loops):
        t.die(f"L{n}")
        t.ckpt("restore", "-D", t.path(f"L{n}"), "-d")
        t.back()
        t.undisturbed()
        if n > 0:
            shutil.rmtree(t.path(f"L{n - 1}"))
    t.finish()


def mode_refuse(t):
    """What is not saved is refused by name, before anything is touched."""
    t.start()
    status, text = t.ckpt("dump", "-t", str(t.pid), "-D", t.path("A"), *t.options(), ok=False)
    if status == 0:
        raise Failure("the dump was not refused")
    for word in t.victim.refuse.split(", "):
        if word.lower() not in text.lower():
            raise Failure(f"the refusal does not name '{word}':\n{text[-2000:]}")
    if os.listdir(t.img):
        raise Failure(f"the refused dump left {os.listdir(t.img)} behind")
    t.undisturbed()
    t.finish()


MODES = {"plain": mode_plain, "goon": mode_goon, "again": mode_again, "restore": mode_restore,
         "pidns": mode_pidns, "exec": mode_exec,
         "late": mode_late, "fg": mode_fg, "cycle": mode_cycle, "faults": mode_faults, "kill": mode_kill,
         "slow": mode_slow, "loop": mode_loop, "refuse": mode_refuse}
