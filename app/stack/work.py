"""The start of `octant worker`: it imports everything first, without collecting garbage.

What is imported lives as long as the process: searching it for garbage again and again is a quarter of the CPU of the imports.
"""

import gc
import sys


def run(job_id: str = "", attempt: str = "") -> None:
    """Run the worker, or one attempt of a job (`in_a_process_of_its_own`). Raises Misconfigured before anything starts."""
    gc.disable()
    import app.main  # noqa: F401 - the worker runs jobs through the application
    from app.gateway.providers.adapters import preload
    from app.stack import job_worker

    preload()
    gc.freeze()
    gc.enable()
    job_worker.run(job_id, attempt)


if __name__ == "__main__":
    run(*sys.argv[1:])
