"""What the asyncio programs share: a server, and its clients in the same process and in two children."""
import asyncio
import os
import random
import sys

from _chain import Chain, stopped

CHILDREN, CONNECTIONS = 2, 6  # connections of each process, the server's own as well


def answer(number, text):
    return b"%d %d\n" % (number, sum(text)) + text[::-1]


async def serve(reader, writer):
    """Of each connection the questions are numbered; an answer comes in pieces."""
    number = 0
    while True:
        try:
            length = int(await reader.readline() or 0)
        except ConnectionError:
            break
        if not length:
            break
        data = answer(number, await reader.readexactly(length))
        writer.write(data[:len(data) // 2])
        await asyncio.sleep(0.001)
        writer.write(data[len(data) // 2:])
        await writer.drain()
        number += 1
    writer.close()


async def ask(connect, seed, each):
    """One client, until it is told to stop; each() is called after every answer that is right."""
    reader, writer = await connect()
    rng, number = random.Random(seed), 0
    while not stopped():
        text = rng.randbytes(rng.choice((1, 500, 100000)))
        writer.write(b"%d\n" % len(text) + text)
        await writer.drain()
        want = answer(number, text)
        got = await asyncio.wait_for(reader.readexactly(len(want)), 60)
        if got != want:
            raise RuntimeError(f"answer {number}: expected {want!r:.60}, got {got!r:.60}")
        each()
        number += 1
        await asyncio.sleep(rng.choice((0, 0.01)))
    writer.close()
    await writer.wait_closed()


async def clients(connect, first, each=lambda: None):
    await asyncio.gather(*(ask(connect, first + i, each) for i in range(CONNECTIONS)))


def child(connect, first):
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(clients(connect, first))
            os._exit(0)
        except BaseException as e:
            print(f"client process {first}:", repr(e), flush=True)
            os._exit(1)
    return pid


async def program(chain, server, connect, children):
    async with await server:
        try:
            await clients(connect, 0, chain.step)
        except Exception as e:
            chain.wrong(repr(e))
        while children:  # they are served to their end
            for pid in list(children):
                got, status = os.waitpid(pid, os.WNOHANG)
                if got and status:
                    chain.wrong(f"a client process ended with {status:#x}")
                if got:
                    children.remove(pid)
            await asyncio.sleep(0.01)


def run(listen, connect):
    """listen(serve) and connect() are coroutines; the children connect when they can."""
    async def patiently():
        for _ in range(1000):
            try:
                return await connect()
            except (ConnectionRefusedError, FileNotFoundError):
                await asyncio.sleep(0.01)
        sys.exit("nobody listens")
    chain = Chain()
    children = [child(patiently, 1000 * (i + 1)) for i in range(CHILDREN)]
    asyncio.run(program(chain, listen(serve), connect, children))
    chain.finish()
