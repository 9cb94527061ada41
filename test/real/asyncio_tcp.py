#!/usr/bin/env python3
"""real: run: python3 {source}

An asyncio server and its clients, of which some are processes of their own: both ends of every TCP
connection are in the tree.
"""
import asyncio
import socket
import sys

sys.dont_write_bytecode = True
from _ends import run  # noqa: E402


def main():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        run(lambda serve: asyncio.start_server(serve, sock=listener), lambda: asyncio.open_connection(*address))


main()
