"""An empty job in Dask with two worker processes on this machine: prints the median of one at a time in microseconds, and jobs a second."""
import statistics
import sys
import time

from distributed import Client, LocalCluster, as_completed


def empty(number):
    return None


def main():
    single, many, window = (int(word) for word in sys.argv[1:4])
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=50)
    client = Client(cluster)
    client.gather([client.submit(empty, -number, pure=False) for number in range(100)])
    samples = []
    for number in range(single):
        begin = time.perf_counter()
        client.submit(empty, number, pure=False).result()
        samples.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    sent = min(window, many)
    running = as_completed([client.submit(empty, number, pure=False) for number in range(sent)])
    for _ in running:
        if sent < many:
            running.add(client.submit(empty, sent, pure=False))
            sent += 1
    print(statistics.median(samples) * 1e6, many / (time.perf_counter() - begin))
    client.close()
    cluster.close()


if __name__ == "__main__":
    main()
