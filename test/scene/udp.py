"""Scenes of sockets of UDP whose errors can't come back: what is lost is told, by kind and number."""
from trial import Skip  # of test/e2e

# A socket that asks for errors and has been told of one, by a port where nobody is.
REFUSED = """
import select, socket
IP_RECVERR = 11
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0))
s.setsockopt(socket.SOL_IP, IP_RECVERR, 1)
closed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
closed.bind(("127.0.0.1", 0))
port = closed.getsockname()[1]
closed.close()
s.sendto(b"anybody there?", ("127.0.0.1", port))
poll = select.poll()
poll.register(s, select.POLLERR)
check(len(poll.poll(3000)), 1, "an error")
"""

# Three time stamps behind it.
STAMPS = REFUSED + """
SO_TIMESTAMPING, BY_SOFTWARE = 37, 1 << 1 | 1 << 4
s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, BY_SOFTWARE)
for _ in range(3):
    s.sendto(b"x", s.getsockname())
ready()
data, _, _, _ = s.recvmsg(100, 500, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
check(data, b"anybody there?", "the error")
"""

# Another socket of its group might be told of it.
GROUP = REFUSED + """
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
ready()
check(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0, "the error")
"""


def dump(s):
    text = s.ckpt("dump", "-R", "-t", str(s.pid), "-D", s.file("first"))
    if "an error that the program has not read yet, or" in text:
        raise Skip("the memory of the kernel can't be read here")
    s.save()
    return text


def scene_udp_stamps(s):
    """Time stamps of what was sent are lost, the error before them is not."""
    s.begin(STAMPS)
    s.words(dump(s), "fd 3: not saved", "time stamps of what it sent", "(3)")
    s.no_words(s.restore(), "lost")
    s.finish()


def scene_udp_errors_group(s):
    """The error of a socket that shares its port is not given to another."""
    s.begin(GROUP)
    s.no_words(dump(s), "not saved")
    s.words(s.restore(), "1 of 1 errors", "lost")
    s.finish()
