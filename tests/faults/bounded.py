#!/usr/bin/python3
"""No stage grows while another one stands still.

    tests/faults/bounded.py STAGES [--seconds 120] [--bytes 150000] [--stop ROLE]
    tests/faults/bounded.py --line BIN [--seconds 120] [--rate 200] [--stop ROLE]

Five stages under load: with STAGES the small ones of tests/c/common_stages.c (a source of 500 frames a second, one in the middle,
two workers, a sink that binds), with --line capture, preprocess, two infer and sink with the model and the pictures of the
demonstration. Each in turn (or one) is stopped with SIGSTOP for so long, and the memory of all others is sampled. What a
stage may hold is what it has sent and is not acknowledged (64 MiB) and what it has taken and not begun (a window), as
frames; a constant comes on top. Once all have filled up, nothing may grow by more than a frame or two in half of the time. At the
end every frame is there once, and in each stage's memory nothing is left of it. Exit 0: all of that holds.
"""
import argparse
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

DEMO = pathlib.Path(__file__).resolve().parents[2] / "pipelines" / "demo"

RETAIN = 64 << 20
WINDOW_BUDGET, WINDOW_MOST = 64 << 20, 64
CONSTANT = 24 << 20  # code, stacks, ZeroMQ, and what malloc cannot use for the next frame
SLACK = 4 << 20  # of growth when all have filled up: two frames, and arenas
CRUMBS = 1 << 19
REST = 3  # seconds without growth: so long does no scheduler let somebody wait
PATIENCE = 60  # seconds more than were asked for, until they must have filled up


def rss(pid):
    with open("/proc/%d/statm" % pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Small:
    """The small stages: their sink writes a line a frame."""

    wanted = 3000  # rows that show that all flows

    def __init__(self, args, scratch):
        self.rows_at = os.path.join(scratch, "rows")
        self.program, self.size = args.stages, args.bytes
        self.what = "%d bytes a frame" % args.bytes

    def commands(self, a, b, c):
        def relay(*words):
            return [self.program, "relay", *words]
        return {
            "sink": [self.program, "sink", "--in", "bind:" + c, self.rows_at],
            "worker1": relay("--in", b, "--out", "connect:" + c, "--window", "4"),
            "worker2": relay("--in", b, "--out", "connect:" + c, "--window", "4"),
            "middle": relay("--in", a, "--out", b),
            "source": [self.program, "source", "-n", "999999", "-b", str(self.size), "--pace", "2ms", "--out", a],
        }

    def rows(self):
        try:
            with open(self.rows_at, "rb") as f:
                return sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 20), b""))
        except OSError:
            return 0

    def seqs(self):
        return [int(line.split()[2]) for line in open(self.rows_at)]


class Line:
    """The programs themselves."""

    wanted = 500

    def __init__(self, args, scratch):
        self.store = os.path.join(scratch, "x.db")
        self.bin, self.rate, self.size = args.line, args.rate, 0  # of small pictures not bytes are what is most, but their number
        self.what = "the pictures of the demonstration, %g a second" % args.rate

    def commands(self, a, b, c):
        def program(name, *words):
            return [os.path.join(self.bin, name), *words]
        infer = program("infer", "-m", str(DEMO / "rings.onnx"), "--in", b, "--out", "connect:" + c)
        return {
            "sink": program("sink", "--in", "bind:" + c, self.store),
            "infer1": infer,
            "infer2": infer,
            "preprocess": program("preprocess", "--in", a, "--out", b),
            "capture": program("capture", str(DEMO / "parts"), "--loop", "0", "--rate", str(self.rate), "--out", a),
        }

    def query(self, text):
        with sqlite3.connect("file:%s?mode=ro" % self.store, uri=True, timeout=10) as db:
            return db.execute(text).fetchall()

    def rows(self):
        try:
            return self.query("select count(*) from results")[0][0]
        except sqlite3.OperationalError:  # not made yet
            return 0

    def seqs(self):
        wrong = self.query("select count(*) from results where verdict = 'error'")[0][0]
        assert wrong == 0, "%d rows are errors" % wrong
        return [seq for seq, in self.query("select seq from results")]


def start(line, scratch):
    log = open(os.path.join(scratch, "log"), "wb")
    commands = line.commands(*("ipc://%s/%s" % (scratch, name) for name in "abc"))
    return {role: subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            for role, command in commands.items()}


def flowing(line, processes, limit=300):
    """Wait until rows come again."""
    had, deadline = line.rows(), time.monotonic() + limit
    while line.rows() < had + line.wanted:
        for role, process in processes.items():
            assert process.poll() is None, "%s ended with %s" % (role, process.returncode)
        assert time.monotonic() < deadline, "no rows come"
        time.sleep(0.1)


class Watch:
    """The most memory that each of some processes took."""

    def __init__(self, processes):
        self.processes, self.most, self.mark = processes, {role: 0 for role in processes}, {role: 0 for role in processes}
        self.rested = time.monotonic()  # since when nobody has grown, but for crumbs

    def look(self):
        for role, process in self.processes.items():
            self.most[role] = max(self.most[role], rss(process.pid))
            if self.most[role] > self.mark[role] + CRUMBS:
                self.mark[role], self.rested = self.most[role], time.monotonic()
        time.sleep(0.04)


def stop(stopped, processes, seconds):
    """The most that each of the others took, and how much it grew after all had filled up."""
    watch = Watch({role: p for role, p in processes.items() if role != stopped})
    processes[stopped].send_signal(signal.SIGSTOP)
    began = time.monotonic()
    while time.monotonic() - watch.rested < max(REST, seconds / 2) and time.monotonic() - began < seconds + PATIENCE:
        watch.look()
    filled, began = dict(watch.most), time.monotonic()
    while time.monotonic() - began < seconds / 2:
        watch.look()
    processes[stopped].send_signal(signal.SIGCONT)
    return {role: (watch.most[role], watch.most[role] - filled[role]) for role in filled}


def complete(line):
    seqs = line.seqs()
    assert len(set(seqs)) == len(seqs), "a frame is there twice"
    assert sorted(seqs) == list(range(len(seqs))), "a frame is missing"
    return len(seqs)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("stages", nargs="?")
    p.add_argument("--line")
    p.add_argument("--seconds", type=float, default=120)
    p.add_argument("--bytes", type=int, default=150000)
    p.add_argument("--rate", type=float, default=200)
    p.add_argument("--stop")
    args = p.parse_args()
    if bool(args.stages) == bool(args.line):
        p.error("STAGES or --line BIN")
    good = True
    with tempfile.TemporaryDirectory(prefix="andon-bounded-") as scratch:
        line = (Line if args.line else Small)(args, scratch)
        bound = RETAIN + min(WINDOW_BUDGET, WINDOW_MOST * line.size) + CONSTANT
        processes = start(line, scratch)
        try:
            print("%s, each stopped for %g s; nobody may take more than %.1f MB" % (line.what, args.seconds, bound / 1e6))
            for stopped in [args.stop] if args.stop else list(processes):
                flowing(line, processes)
                for role, (most, grew) in stop(stopped, processes, args.seconds).items():
                    bad = most > bound or grew > SLACK
                    good = good and not bad
                    print("%-10s stopped: %-10s %6.1f MB at most, %+5.1f MB after all had filled up%s" %
                          (stopped, role, most / 1e6, grew / 1e6, "  TOO MUCH" if bad else ""), flush=True)
            flowing(line, processes)
            list(processes.values())[-1].terminate()
            for role, process in processes.items():
                code = process.wait(300)
                assert code == 0, "%s ended with %d" % (role, code)
            print("%d frames, each once" % complete(line))
        finally:
            for process in processes.values():
                process.kill()
                process.wait()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
