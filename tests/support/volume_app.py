"""Imitation of the app's own access to jobs.json: no lock, truncate and dump, and a torn file is moved aside."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime


def read(path):
    for _ in range(3):
        try:
            with open(path) as file:
                return json.load(file)
        except json.JSONDecodeError:
            time.sleep(0.5)
        except FileNotFoundError:
            return {}
    os.rename(path, f"{path}.{time.time()}")
    return {}


def update(path, job, progress):
    jobs = read(path)
    jobs[job]["current_job_progress"] = progress
    jobs[job]["last_updated_at"] = datetime.now().isoformat()
    write(path, jobs)


def write(path, jobs):
    with open(path, "w") as file:
        json.dump(jobs, file, indent=4)


def main(path, job, updates, pause):
    """Update one job again and again, as a runner does while it works."""
    for number in range(int(updates)):
        update(path, job, number)
        time.sleep(float(pause))


if __name__ == "__main__":
    main(*sys.argv[1:])
