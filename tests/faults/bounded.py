#!/usr/bin/python3
"""No stage grows while another one stands still.

    tests/faults/bounded.py STAGES [--seconds 120] [--bytes 150000]

Five of the small stages of tests/c/common_stages.c (a source of 500 frames a second, one in the middle, two workers, a sink that
binds) under load; each in turn is stopped with SIGSTOP for so long, and the memory of all others is sampled. What a
stage may hold is what it has sent and is not acknowledged (64 MiB) and what it has taken and not begun (a window), as
frames; a constant comes on top. In the second half of the time nothing may grow by more than a frame or two. At the
end every frame is there once, and in each stage's memory nothing is left of it. Exit 0: all of that holds.
"""
import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time

RETAIN = 64 << 20
WINDOW_BUDGET, WINDOW_MOST = 64 << 20, 64
CONSTANT = 24 << 20  # code, stacks, ZeroMQ, and what malloc cannot use for the next frame
SLACK = 4 << 20  # of growth in the second half: two frames, and arenas


def rss(pid):
    with open("/proc/%d/statm" % pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def start(stages, scratch, size):
    at = {name: "ipc://%s/%s" % (scratch, name) for name in ("a", "b", "c")}
    commands = {
        "sink": ["sink", "--in", "bind:" + at["c"], os.path.join(scratch, "rows")],
        "worker1": ["relay", "--in", at["b"], "--out", "connect:" + at["c"], "--window", "4"],
        "worker2": ["relay", "--in", at["b"], "--out", "connect:" + at["c"], "--window", "4"],
        "middle": ["relay", "--in", at["a"], "--out", at["b"]],
        "source": ["source", "-n", "999999", "-b", str(size), "--pace", "2ms", "--out", at["a"]],
    }
    log = open(os.path.join(scratch, "log"), "wb")
    return {role: subprocess.Popen([stages] + command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            for role, command in commands.items()}


def rows(scratch):
    try:
        return os.path.getsize(os.path.join(scratch, "rows"))
    except OSError:
        return 0


def flowing(scratch, processes, limit=60):
    """Wait until rows come again."""
    had, deadline = rows(scratch), time.monotonic() + limit
    while rows(scratch) < had + 3000:
        for role, process in processes.items():
            assert process.poll() is None, "%s ended with %s" % (role, process.returncode)
        assert time.monotonic() < deadline, "no rows come"
        time.sleep(0.02)


def stop(stopped, processes, seconds):
    """The most that each of the others took, and how much it grew in the second half."""
    others = {role: p for role, p in processes.items() if role != stopped}
    most, half, late = {}, {}, {}
    processes[stopped].send_signal(signal.SIGSTOP)
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        for role, process in others.items():
            now = rss(process.pid)
            most[role] = max(most.get(role, 0), now)
            part = half if time.monotonic() - began < seconds / 2 else late
            part[role] = max(part.get(role, 0), now)
        time.sleep(min(0.2, seconds / 50))
    processes[stopped].send_signal(signal.SIGCONT)
    return {role: (most[role], late.get(role, 0) - half.get(role, 0)) for role in others}


def complete(scratch):
    seqs = [int(line.split()[2]) for line in open(os.path.join(scratch, "rows"))]
    assert len(set(seqs)) == len(seqs), "a frame is there twice"
    assert sorted(seqs) == list(range(len(seqs))), "a frame is missing"
    return len(seqs)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("stages")
    p.add_argument("--seconds", type=float, default=120)
    p.add_argument("--bytes", type=int, default=150000)
    args = p.parse_args()
    bound = RETAIN + min(WINDOW_BUDGET, WINDOW_MOST * args.bytes) + CONSTANT
    good = True
    with tempfile.TemporaryDirectory(prefix="andon-bounded-") as scratch:
        processes = start(args.stages, scratch, args.bytes)
        try:
            print("%d bytes a frame, each stopped for %g s; nobody may take more than %.1f MB" %
                  (args.bytes, args.seconds, bound / 1e6))
            for stopped in list(processes):
                flowing(scratch, processes)
                for role, (most, grew) in stop(stopped, processes, args.seconds).items():
                    bad = most > bound or grew > SLACK
                    good = good and not bad
                    print("%-8s stopped: %-8s %6.1f MB at most, %+5.1f MB in the second half%s" %
                          (stopped, role, most / 1e6, grew / 1e6, "  TOO MUCH" if bad else ""), flush=True)
            flowing(scratch, processes)
            processes["source"].terminate()
            for role, process in processes.items():
                code = process.wait(60)
                assert code == 0, "%s ended with %d" % (role, code)
            print("%d frames, each once" % complete(scratch))
        finally:
            for process in processes.values():
                process.kill()
                process.wait()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
