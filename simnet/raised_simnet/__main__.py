"""`raised demo`: a whole world on loopback, and the product running in it."""

import asyncio
import json
import signal
import sys

import click

from raised_simnet.demo.demo import Options, run_demo


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="steps a second")
@click.option("--seed", type=int, default=1, show_default=True, help="which story")
@click.option("--once", is_flag=True, help="play to the end, compare, print the result as JSON")
@click.option("--port", type=click.IntRange(1, 65535), help="the API's; 8721 if it is free")
@click.option("--database", "database_url", help="an empty database; else a file of the demo's own")
def command(
    speed: float | None, seed: int, port: int | None, database_url: str | None, *, once: bool
) -> int:
    """Start the simnet and `raised up` against it, and play a story."""
    return asyncio.run(_run(Options(seed, speed, once, port, database_url)))


async def _run(options: Options) -> int:
    """The exit code: 0 when asked to stop or equal, 1 when the totals differ."""
    task = asyncio.current_task()
    assert task is not None, "asyncio.run made one"
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        result = await run_demo(options)
    except asyncio.CancelledError:
        return 0
    if result is None:
        return 0
    print(json.dumps(result.as_json()))
    return 0 if result.equal else 1


def main(argv: list[str]) -> int:
    """Run the command line; click's errors are the caller's to explain."""
    return int(command.main(argv, prog_name="raised demo", standalone_mode=False) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
