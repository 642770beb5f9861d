"""A program that makes all conversations of a library again and may be killed; options as of `support.faults.victim`.

Started anew, it continues what an earlier one has begun.
"""

import asyncio
import logging
import os
import sys

from backstay import Backstay, Selection
from backstay.settings import Settings
from support.faults.ledger import Ledger
from support.faults.victim import Processor, arguments, harm


async def make_again(database: str, ledger: Ledger, concurrency: int, seconds: float, lease: float) -> None:
    settings = Settings(database_url=database, lease_seconds=lease, backup_directory=os.environ["BACKUP_DIRECTORY"])
    async with Backstay(settings) as backstay:
        jobs = [job.id for job in await backstay.batches.list() if job.regenerates is not None]
        if not jobs:
            plan = await backstay.regenerations.plan(Selection(everything=True), "scripted")
            jobs = list((await backstay.regenerations.start(plan)).job_ids)
        for job_id in jobs:
            await backstay.batches.resume(job_id, Processor(ledger, seconds, {}), concurrency=concurrency)


def main() -> None:
    options = arguments(sys.argv[1:])
    harm(options)
    logging.basicConfig(format="%(message)s")
    ledger = Ledger(options.ledger)
    asyncio.run(make_again(str(options.database), ledger, options.concurrency, options.seconds, options.lease))
    os._exit(0)


if __name__ == "__main__":
    main()
