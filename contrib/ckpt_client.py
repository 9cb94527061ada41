"""A client of `ckpt serve`, with no dependency.

    from ckpt_client import Client, Error

    with Client("/run/ckpt.sock") as ckpt:
        saved = ckpt.dump(pid=1234, leave_running=True)
        ckpt.restore(crid=saved["crid"], detach=True)

Every method of the service is a method here, its parameters are keyword arguments (docs/RPC.md); names that
are no identifiers are called by call(). An error of the service is an Error with code, message and data.
Notifications (progress, log, exit) go to the function `notified`, if there is one. One thread at a time.
"""
import array
import json
import socket


class Error(Exception):
    """The service could not do it; `data` says what, as `ckpt --json` does."""

    def __init__(self, error):
        super().__init__(error.get("message", "unknown error"))
        self.code, self.data = error.get("code"), error.get("data") or {}


class Client:
    def __init__(self, path, notified=None, timeout=None):
        """path: of the socket, or @NAME; timeout: seconds for each answer, None: no limit"""
        self.notified, self.last_id, self.pending = notified, 0, b""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect("\0" + path[1:] if path.startswith("@") else path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, message, fds=()):
        """One message, with descriptors that become 0, 1, 2, ... of the operation."""
        data = json.dumps(message).encode() + b"\n"
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.socket.sendmsg([data], control)
        self.socket.sendall(data[sent:])

    def receive(self):
        """The next message of the service."""
        while b"\n" not in self.pending:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the service closed the connection")
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)

    def begin(self, method, /, _fds=(), **params):
        """Sends a request and does not wait; its id, for finish() and for the parameter of cancel."""
        self.last_id += 1
        self.send({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}, _fds)
        return self.last_id

    def finish(self, number):
        """The result of a request; others' answers that come before are dropped."""
        while True:
            message = self.receive()
            if "method" in message:
                if self.notified:
                    self.notified(message["method"], message["params"])
            elif message.get("id") == number:
                if "error" in message:
                    raise Error(message["error"])
                return message["result"]

    def call(self, method, /, _fds=(), **params):
        return self.finish(self.begin(method, _fds, **params))

    def __getattr__(self, method):
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda **params: self.call(method, **params)
