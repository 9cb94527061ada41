"""The soak: a server and its caller, each a tree of its own, are dumped and restored at random, or both at once."""
import os
import struct
import sys
import time

import lossy
from trial import Failure, Skip, status_text, wait_for
from peer import HERE, free_port, program

WORDS = ("serve", "call")
STUCK_S = 60


class Soak:
    """The two ends, and what they have counted."""

    def __init__(self, p, largest="5000000", hosts=("127.0.0.1", "::1"), before_caller=()):
        self.p, port = p, str(free_port())
        self.dir = p.file("ends")
        os.mkdir(self.dir)
        self.roots, self.done = {}, {}
        end = [sys.executable, os.path.join(HERE, "stream_end.py")]
        for words in ([*end, "serve", port], [*before_caller, *end, "call", port, largest, *hosts]):
            word = "call" if "call" in words else "serve"
            self.roots[word] = p.serve(words, cwd=self.dir)
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

    def disturb(self, choices):
        p = self.p
        what = p.random.choice(choices)
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
        self.done[what] = self.done.get(what, 0) + 1

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


def soak_it(p, soak, choices):
    """For the play's seconds, again and again one of these is taken away."""
    refused = None
    end = time.monotonic() + p.seconds
    soak.flow()
    while time.monotonic() < end:
        time.sleep(p.random.random() * 0.2)
        try:
            if p.rounds:
                soak.disturb(choices)
        except Skip as e:
            refused = e
            break
        soak.flow()
    soak.end()
    if refused:
        raise refused
    got, through = zip(*(soak.count(word) for word in WORDS))
    what = ", ".join(f"{word} {n}" for word, n in soak.done.items())
    return f"dumped {what or 'nothing'}; {sum(got) >> 20} MiB and {through[0]} connections right"


def peer_soak(p):
    return soak_it(p, Soak(p), ("serve", "call", "both"))


def peer_lossy(p):
    """The caller is in another network, and the link to it loses and exchanges packets."""
    lossy.own_network()
    near, (begin, ready) = lossy.tun(lossy.ADDRESSES[0]), os.pipe()
    link = p.client("link", lossy.pass_on, near, ready)
    os.close(ready)
    os.read(begin, 1)  # it has its network
    said = soak_it(p, Soak(p, "300000", lossy.ADDRESSES[0], (program("nsenter"), f"--net=/proc/{link.pid}/ns/net")),
                   ("serve",))
    return ", ".join([said, *p.clients_end()])
