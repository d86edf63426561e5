"""An empty job in Ray with two worker processes on this machine: prints the median of one at a time in microseconds, and jobs a second."""
import statistics
import sys
import time

import ray

single, many, window = (int(word) for word in sys.argv[1:4])
ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", logging_level="error", log_to_driver=False)


@ray.remote
def empty():
    return None


ray.get([empty.remote() for _ in range(100)])
samples = []
for _ in range(single):
    begin = time.perf_counter()
    ray.get(empty.remote())
    samples.append(time.perf_counter() - begin)
begin = time.perf_counter()
left, open_jobs = many, []
while left or open_jobs:
    while left and len(open_jobs) < window:
        open_jobs.append(empty.remote())
        left -= 1
    done, open_jobs = ray.wait(open_jobs, num_returns=min(100, len(open_jobs)))
    ray.get(done)
print(statistics.median(samples) * 1e6, many / (time.perf_counter() - begin))
