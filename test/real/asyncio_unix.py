#!/usr/bin/env python3
"""real: run: python3 {source}

An asyncio server and its clients, of which some are processes of their own, with unix sockets.
"""
import asyncio
import sys

sys.dont_write_bytecode = True
from _ends import run  # noqa: E402


def main():
    run(lambda serve: asyncio.start_unix_server(serve, "server"), lambda: asyncio.open_unix_connection("server"))


main()
