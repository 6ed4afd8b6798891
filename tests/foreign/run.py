"""Runs the clients of this directory against the real server: python run.py PATH_OF_LOQUIC. Says what each has done."""

import asyncio
import json
import sys
import tempfile
import urllib.request
from pathlib import Path

import over_aioquic
import scenario
import vectors

HERE = Path(__file__).parent
# A hang becomes a failure after this many seconds; nothing depends on how long it takes.
PATIENCE = 120


async def main(loquic):
    print(f"foreign: {vectors.check()} vectors by Python", flush=True)
    with tempfile.TemporaryDirectory(prefix="loquic-foreign-") as dir:
        listen = [f"--{listener}=127.0.0.1:0" for listener in ("listen", "http-listen", "ops-listen")]
        server = await asyncio.create_subprocess_exec(
            loquic, "serve", "--dev", "--data-dir", "data", *listen, "--demo-dir", HERE / "page", cwd=dir,
            stdout=asyncio.subprocess.PIPE)
        try:
            ready = json.loads(await server.stdout.readline())
            await asyncio.wait_for(run_all(loquic, f"https://{ready['quic'][0]}", ready["http"][0]), PATIENCE)
            server.terminate()
            vectors.equal(await server.wait(), 0, "exit code of the server")
        finally:
            if server.returncode is None:
                server.kill()
                await server.wait()


async def run_all(loquic, server, http):
    async def native(room, text):
        where = ("--url", server, "--insecure", "--name", "native")
        await run("loquic pub", loquic, "pub", room, text, *where, stdout=asyncio.subprocess.DEVNULL)

    with urllib.request.urlopen(f"http://{http}/v1/info") as answer:
        info = json.load(answer)
    records = await scenario.run(over_aioquic.connect, info["transports"]["webtransport"][0], "foreign:aioquic", native)
    print(f"foreign: aioquic, {records} records", flush=True)
    # `localhost` and not the address: that is what browsers let talk to a loopback address.
    page = f"http://localhost:{http.split(':')[-1]}/"
    await run("the page", "node", HERE / "page.mjs", page, "foreign:page", loquic, server)


async def run(about, *command, **options):
    process = await asyncio.create_subprocess_exec(*command, **options)
    try:
        vectors.equal(await process.wait(), 0, f"exit code of {about}")
    finally:
        if process.returncode is None:
            process.kill()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
