"""`python -m app.simulator --openai-port 0 --anthropic-port 0 --control-port 0`: prints its ports as one line of JSON."""

import argparse
import asyncio
import json
import signal
import sys

import uvloop

from app.features.installed import installed
from app.simulator.brain import Brain
from app.simulator.server import Simulator
from app.simulator.wires import CONTROL, WIRES

LISTENERS = (*WIRES, CONTROL)


async def run(arguments: argparse.Namespace) -> None:
    """Serve until a signal ends it."""
    rules = [feature.simulated() for feature in installed() if feature.simulated]
    simulator = Simulator(arguments.host, Brain(rules))
    wanted = {name: getattr(arguments, f"{name}_port") for name in LISTENERS}
    ports = await simulator.start(wanted)
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await simulator.stop()


parser = argparse.ArgumentParser(prog="python -m app.simulator", description=__doc__)
parser.add_argument("--host", default="127.0.0.1")
for listener in LISTENERS:
    parser.add_argument(f"--{listener}-port", type=int, default=0)
uvloop.run(run(parser.parse_args()))
