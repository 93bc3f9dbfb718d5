"""Does the metric of the autoscaler lead to enough workers?  kubernetes_scale.py INFER.YAML BUILD

The formula of Kubernetes' HorizontalPodAutoscaler, with what the manifest says, over the numbers of `ping --prometheus`; workers that
take 400 ms for a frame, a source that has one every 100 ms. With two workers the queue fills; with enough it is gone, and when nothing comes
the rule wants two again. Waiting is for conditions: on a machine with no time left all takes longer, and so do the frames.
"""
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import yaml

manifest, build = sys.argv[1:]
rule = next(o for o in yaml.safe_load_all(open(manifest)) if o["kind"] == "HorizontalPodAutoscaler")["spec"]
external = rule["metrics"][0]["external"]
name, target = external["metric"]["name"], float(external["target"]["averageValue"])
least, most = rule["minReplicas"], rule["maxReplicas"]
stages, processes, workers, status = os.path.join(build, "test/common_stages"), [], [], []


def begin(*command):
    process = subprocess.Popen([stages, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    processes.append(process)
    return process


def more(scratch):
    status.append("ipc://%s/status%d" % (scratch, len(status)))
    workers.append(begin("relay", "--window", "4", "--work", "400ms", "--in", "ipc://%s/b" % scratch,
                         "--out", "connect:ipc://%s/c" % scratch, "--status", status[-1]))


def wanted():
    """How many the autoscaler would want now, and the queue of all; None while not all of them have been asked."""
    ping = [os.path.join(build, "bin/ping"), "--prometheus", "--timeout", "20s", *status]
    said = subprocess.run(ping, capture_output=True, text=True).stdout
    queues = [int(n) for n in re.findall(r'^%s{stage="relay",.*} (\d+)$' % name, said, re.M)]
    if len(queues) < len(workers):
        return None, None
    ratio = sum(queues) / target / len(workers)
    return (len(workers) if abs(ratio - 1) <= 0.1 else max(least, min(most, math.ceil(sum(queues) / target)))), sum(queues)


def until(condition, scratch, grow):
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        want, queue = wanted()
        if want is not None:
            print("%d workers, %d frames wait, wanted: %d" % (len(workers), queue, want), flush=True)
            if condition(want):
                return
            while grow and len(workers) < want:
                more(scratch)
        time.sleep(0.5)
    sys.exit("not within the time")


with tempfile.TemporaryDirectory(prefix="andon-scale-") as folder:
    os.environ["XDG_RUNTIME_DIR"] = folder
    try:
        begin("sink", "--in", "bind:ipc://%s/c" % folder, os.path.join(folder, "rows"))
        source = begin("source", "-n", "1000000", "-b", "100", "--pace", "100ms", "--out", "ipc://%s/b" % folder)
        for _ in range(least):
            more(folder)
        until(lambda want: want > least, folder, False)  # too few, and it is seen
        until(lambda want: len(workers) >= 4 and want < len(workers), folder, True)  # enough
        source.send_signal(signal.SIGSTOP)
        until(lambda want: want == least, folder, False)
    finally:
        for process in processes:
            process.kill()
            process.wait()
