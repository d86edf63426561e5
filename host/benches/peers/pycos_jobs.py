"""An empty job in pycos with two server processes on this machine: prints the median of one at a time in microseconds, and jobs a second."""
import logging
import os
import statistics
import subprocess
import sys
import time

import pycos
import pycos.netpycos
from pycos.dispycos import Client, Scheduler


def empty(number, task=None):
    yield task.sleep(0)
    raise StopIteration(None)


def measure(single, many, window, task=None):
    client = Client([empty])
    if (yield client.schedule()):
        raise RuntimeError("the scheduler takes no client")

    def one(number, task=None):
        remote = yield client.rtask(empty, number)
        yield remote()

    samples = []
    for number in range(single + 20):
        begin = time.perf_counter()
        yield pycos.Task(one, number).finish()
        samples.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    for start in range(0, many, window):
        tasks = [pycos.Task(one, number) for number in range(start, min(start + window, many))]
        for running in tasks:
            yield running.finish()
    print(statistics.median(samples[20:]) * 1e6, many / (time.perf_counter() - begin), flush=True)
    yield client.close()


if __name__ == "__main__":
    pycos.logger.setLevel(logging.CRITICAL)
    command = [sys.executable, "-m", "pycos.dispycosnode", "-c", "2", "-i", "127.0.0.1", "--clean", "--daemon"]
    node = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        pycos.Pycos(host="127.0.0.1")
        Scheduler()
        pycos.Task(measure, *(int(word) for word in sys.argv[1:4])).value()
    finally:
        node.terminate()
    # Its threads would keep the process for a while.
    os._exit(0)
