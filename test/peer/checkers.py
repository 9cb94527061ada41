"""The checkers of the plays: behind a relay that does one thing wrong each has to find it. Nothing is dumped."""
import os
import socket
import struct
import sys
import threading
import time

import keyvalue
import resp
import web
from trial import Failure, status_text, wait_for
from peer import HERE, free_port

FAULTS = (None, "lost", "doubled", "changed", "reset")
AFTER = 50000  # bytes of the server that are passed on before something is wrong


class Relay:
    """Passes bytes on between the clients at two ports and a server, and once does what `fault` says."""

    def __init__(self, port, server, fault):
        self.server, self.fault, self.passed = server, fault, 0
        for listener in (socket.create_server(("127.0.0.1", port)),
                         socket.create_server(("::", port + 1), family=socket.AF_INET6, dualstack_ipv6=True)):
            threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            client = listener.accept()[0]
            try:
                server = socket.create_connection(("127.0.0.1", self.server))
            except OSError:
                client.close()  # it has ended
                continue
            for args in ((client, server, False), (server, client, True)):
                threading.Thread(target=self.pass_on, args=args, daemon=True).start()

    def pass_on(self, source, target, answers):
        try:
            while data := source.recv(4096):
                self.passed += len(data) if answers else 0
                if answers and self.fault and self.passed > AFTER:
                    fault, self.fault = self.fault, None
                    data = self.spoil(fault, data, target)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    @staticmethod
    def spoil(fault, data, target):
        at = len(data) // 2
        if fault == "reset":
            target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            target.close()
        return {"lost": data[:at] + data[at + 1:], "doubled": data + data,
                "changed": data[:at] + bytes((data[at] ^ 1,)) + data[at + 1:], "reset": data}[fault]


def found(p, name, fault, function, *args):
    """A client has to be content if nothing is wrong, and else to say so."""
    client = p.client(f"{name}, {fault}", function, *args)
    if not fault:
        p.progress(20)
        p.clients_end()
        return
    # 0 is a result as well, so it is wrapped
    status = wait_for(f"that {client.name} is found", 20, lambda: [s for s in [client.look()] if s is not None])[0]
    p.clients.remove(client)
    if status != 1:
        raise Failure(f"{client.name}: the client ended with {status_text(status)}")


def caller(client, port, directory):
    """The calling end of the soak; what it finds wrong is in its file."""
    os.mkdir(directory)
    os.chdir(directory)
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, os.path.join(HERE, "stream_end.py"), "call", str(port),
                                  "3000000", "127.0.0.1", "::1"])
    while not client.stopped():
        client.counted()
        if os.path.exists("call.wrong"):
            with open("call.wrong", encoding="utf-8") as f:
                raise Failure(f.read())
        time.sleep(0.01)


def peer_checkers(p):
    redis, memcached, node = (start(p)[1] for start in (keyvalue.start_redis, keyvalue.start_memcached,
                                                        web.start_node))
    for module in (keyvalue, resp, web):
        module.PATIENCE_S = 2
    server = free_port()
    p.serve([sys.executable, os.path.join(HERE, "stream_end.py"), "serve", str(server)])
    for fault in FAULTS:
        for name, port, function, *args in (
                ("crowd", redis, resp.crowd, 1, 5), ("caches", memcached, keyvalue.caches, 1),
                ("visitors", node, web.visitors, 1, web.one_text),
                ("caller", server, caller, p.file(f"caller.{fault}"))):
            relay = free_port()
            Relay(relay, port, fault)
            found(p, name, fault, function, relay, *args)
    return f"{4 * (len(FAULTS) - 1)} faults found"
