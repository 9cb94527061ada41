"""A link between two network namespaces that loses, delays and so exchanges packets: two tun devices and a process."""
import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import time

from trial import Failure, Skip
from peer import program

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
LOST, LATE, LATE_S = 0.01, 0.05, 0.01  # shares of all packets, and by how much
ADDRESSES = (("10.77.0.1", "fd77::1"), ("10.77.0.2", "fd77::2"))  # ours, and those beyond the link


def own_network():
    """This process, and what it starts, gets a network of its own with a loopback."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) < 0:
        raise Skip(f"unshare: {os.strerror(ctypes.get_errno())}")
    ip("link", "set", "lo", "up")


def ip(*words):
    done = subprocess.run([program("ip"), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode:
        raise Failure(f"ip {' '.join(words)}: {done.stdout}")


def tun(addresses):
    """A device with these addresses in this process's network; what goes into it is read from the descriptor."""
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
    except OSError as e:
        raise Skip(f"tun: {e}") from None
    four, six = addresses
    ip("address", "add", f"{four}/24", "dev", "tun0")
    ip("address", "add", f"{six}/64", "dev", "tun0", "nodad")
    ip("link", "set", "tun0", "up")
    return fd


def pass_on(client, near, ready):
    """What a client process does: it stands between the device `near` and one in a network of its own."""
    own_network()
    far, rng, late, count = tun(ADDRESSES[1]), random.Random(5), [], 0
    os.close(ready)
    while True:  # to the end, which the driver makes
        wait = max(0.0, late[0][0] - time.monotonic()) if late else 0.2
        for source in select.select([near, far], [], [], wait)[0]:
            count += 1
            at = time.monotonic() + (LATE_S if rng.random() < LATE else 0)
            packet = os.read(source, 65536)
            if rng.random() >= LOST:
                heapq.heappush(late, (at, count, far if source == near else near, packet))
        while late and late[0][0] <= time.monotonic():
            _, _, target, packet = heapq.heappop(late)
            try:
                os.write(target, packet)
            except BlockingIOError:
                pass  # a full queue loses as well
        client.put(8, count)
        if client.stopped():
            return f"{count} packets"
