"""The soak: a server and its caller, each a tree of its own, are dumped and restored at random, or both at once."""
import os
import signal
import struct
import sys
import time

from modes import Failure, Skip, status_text, wait_for
from peer import HERE, free_port

WORDS = ("serve", "call")
STUCK_S = 60


class Soak:
    """The two ends, and what they have counted."""

    def __init__(self, p):
        self.p, self.port = p, free_port()
        self.dir = p.file("ends")
        os.mkdir(self.dir)
        self.roots, self.done = {}, {"serve": 0, "call": 0, "both": 0}
        for word in WORDS:
            self.roots[word] = p.serve([sys.executable, os.path.join(HERE, "stream_end.py"), word, str(self.port)],
                                       cwd=self.dir)
            wait_for(f"{word}.count", 20, lambda w=word: os.path.exists(self.path(f"{w}.count")))

    def path(self, name):
        return os.path.join(self.dir, name)

    def count(self, word):
        """Bytes that were right, and connections that are through."""
        try:
            with open(self.path(f"{word}.count"), "rb") as f:
                return struct.unpack("QQ", f.read(16).ljust(16, b"\0"))
        except FileNotFoundError:
            return 0, 0

    def wrong(self):
        """How many data errors the ends have counted; they are shown."""
        lines = []
        for word in WORDS:
            if os.path.exists(self.path(f"{word}.wrong")):
                with open(self.path(f"{word}.wrong"), encoding="utf-8") as f:
                    lines += [f"{word}: {line}" for line in f]
        if lines:
            raise Failure(f"{len(lines)} data errors, such as\n{''.join(lines[:10])}")

    def flow(self):
        """Both ends get more than they had."""
        before = {word: self.count(word) for word in WORDS}

        def look():
            self.wrong()
            self.p.look_after()
            return all(self.count(word)[0] > before[word][0] + 100000 for word in WORDS)
        wait_for("bytes in both directions", STUCK_S, look)

    def disturb(self):
        p = self.p
        what = p.random.choice(("serve", "call", "both"))
        who = [self.roots[word] for word in (WORDS if what == "both" else (what,))]
        p.random.shuffle(who)
        at = time.monotonic()
        gone = []
        try:
            for root in who:
                dump_s = p.away(root)
                gone.append(root)
        finally:
            time.sleep(p.random.random() * 0.3)
            p.random.shuffle(gone)
            for root in gone:
                restore_s = p.back(root)
        p.times.append((dump_s, restore_s, time.monotonic() - at))
        self.done[what] += 1

    def end(self):
        """The caller finishes what it has begun, then both have seen the same."""
        with open(self.path("stop"), "w", encoding="ascii"):
            pass
        status = wait_for("the caller's end", STUCK_S,
                          lambda: [s for s in [self.p.reap_root(self.roots["call"])] if s is not None])[0]
        if status:
            raise Failure(f"the caller ended with {status_text(status)}")
        wait_for("the server's last connection", STUCK_S,
                 lambda: self.count("serve")[1] == self.count("call")[1] or self.wrong())
        self.p.end(self.roots["serve"])
        self.wrong()


def peer_soak(p):
    soak, refused = Soak(p), None
    end = time.monotonic() + p.seconds
    soak.flow()
    while time.monotonic() < end:
        time.sleep(p.random.random() * 0.2)
        try:
            if p.rounds:
                soak.disturb()
        except Skip as e:
            refused = e
            break
        soak.flow()
    soak.end()
    if refused:
        raise refused
    got, through = zip(*(soak.count(word) for word in WORDS))
    what = ", ".join(f"{word} {n}" for word, n in soak.done.items())
    return f"dumped {what}; {sum(got) >> 20} MiB and {through[0]} connections right"
