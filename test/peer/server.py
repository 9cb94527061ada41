"""HTTP servers with keep-alive: GET /TEXT is answered as answer_of() in web.py says. SIGTERM ends them.

server.py PORT has a thread for each connection; application(...) is for a server of WSGI.
"""
import http.server
import signal
import sys
import time


def answer(text):
    x = 0
    for c in text.encode():
        x = (x * 31 + c) % 1000000007
    return f"{text} {x}\n".encode() * (1 + x % 50)


class Handler(http.server.BaseHTTPRequestHandler):
    """In two pieces, of which the second is late."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = answer(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:len(body) // 2])
        time.sleep(0.002)
        self.wfile.write(body[len(body) // 2:])

    def log_message(self, *_):
        pass


def application(environ, start_response):
    body = answer(environ["PATH_INFO"][1:])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body[:len(body) // 2], body[len(body) // 2:]]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
