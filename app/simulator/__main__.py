"""`python -m app.simulator --openai-port 0 --anthropic-port 0 --control-port 0`: prints its ports as one line of JSON."""

import argparse
import asyncio
import json
import signal
import sys

import uvloop

from app.domain.periodic import Periodic
from app.simulator.server import Simulator

REFUSALS_EVERY = 0.02


async def run(arguments: argparse.Namespace) -> None:
    """Serve until told to stop."""
    simulator = Simulator(arguments.host)
    wanted = {name: getattr(arguments, f"{name}_port") for name in ("openai", "anthropic", "control")}
    ports = await simulator.start(wanted)
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    refusals = Periodic("refusals", simulator.apply_refusals, every=REFUSALS_EVERY)
    refusals.start()
    await stop.wait()
    await refusals.stop()
    await simulator.stop()


parser = argparse.ArgumentParser(prog="python -m app.simulator", description=__doc__)
parser.add_argument("--host", default="127.0.0.1")
for listener in ("openai", "anthropic", "control"):
    parser.add_argument(f"--{listener}-port", type=int, default=0)
uvloop.run(run(parser.parse_args()))
