"""The sample app's background worker: takes jobs off the queue and answers each; ends when the app is gone."""

import os
import sys

from redis import Redis

JOBS = "jobs"


def run(port: int) -> None:
    """Work until the parent process is another one."""
    parent = os.getppid()
    queue = Redis(host="127.0.0.1", port=port)
    while os.getppid() == parent:
        job = queue.brpop([JOBS], timeout=1)
        if job is not None:
            answer_key = job[1]
            queue.lpush(answer_key, "done")
            queue.expire(answer_key, 10)


if __name__ == "__main__":
    run(int(sys.argv[1]))
