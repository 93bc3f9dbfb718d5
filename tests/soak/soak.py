#!/usr/bin/python3
"""A line under load for an hour while something kills it.

    tests/soak/soak.py --seconds 3600 [--rate 200] [--kill-every 5] [--seed N] [--bin build/bin] [--keep DIR]

A feeder drops pictures into a hot folder; capture, preprocess, two infer and sink stand under a small supervisor
that starts again whatever ends; every few seconds one of them, chosen by the printed seed, is killed with SIGKILL.
In each fifth of the time one of the five is spared, so that there is for each a process that outlives the deaths of
its neighbours for long; the slopes of memory and descriptors are taken from those lives.

At the end: every picture that was dropped into the folder is one row of the store, or one of its counted drops; none
is two; pictures that are the same have the same scores; no process ended by itself in a way that is a fault. The
report goes to standard output, in Markdown; progress to standard error. Exit 0: all of that holds. 1: not.
"""
import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PICTURES = 60
RESTART_AFTER = 0.2  # seconds, as a supervisor's pause
MODEL = os.path.join(TOP, "pipelines/demo/rings.onnx")
FAULTS = (64, 65, 66, 70, 71, 73, 74)  # codes with which no stage has a reason to end here


def say(text):
    print(text, file=sys.stderr, flush=True)


def pictures():
    """Small grey pictures of rings, always the same ones, as PGM files."""
    made = []
    for k in range(PICTURES):
        r = random.Random(k)
        grey = bytes(
            min(255, max(0, int(90 + 60 * ((x - 32) ** 2 + (y - 32) ** 2 < (12 + k / 4) ** 2) + r.gauss(0, 8))))
            for y in range(64) for x in range(64))
        made.append(b"P5\n64 64\n255\n" + grey)
    return made


class Feeder(threading.Thread):
    """Drops pictures into the inbox at the rate, and takes away what capture has put into the done folder."""

    def __init__(self, scratch, rate):
        super().__init__(daemon=True)
        self.inbox, self.done = os.path.join(scratch, "inbox"), os.path.join(scratch, "done")
        os.mkdir(self.inbox)
        os.mkdir(self.done)
        self.part = os.path.join(scratch, "part")  # the same file system, outside of the folder
        self.rate, self.fed, self.left, self.stop = rate, 0, 0, False
        self.pictures = pictures()

    def drop(self):
        with open(self.part, "wb") as f:
            f.write(self.pictures[self.fed % PICTURES])
        os.rename(self.part, os.path.join(self.inbox, "%09d.pgm" % self.fed))
        self.fed += 1

    def sweep(self):
        for entry in os.scandir(self.done):
            if entry.name.endswith(".pgm"):
                os.unlink(entry.path)
                self.left += 1

    def waiting(self):
        return sum(1 for e in os.scandir(self.inbox) if e.name.endswith(".pgm"))

    def run(self):
        began = swept = time.monotonic()
        while not self.stop:
            now = time.monotonic()
            while self.fed < (now - began) * self.rate:
                self.drop()
            if now - swept > 2:
                self.sweep()
                swept = now
            time.sleep(0.02)


class Life:
    """One process, from its start to its end, and what it took meanwhile."""

    def __init__(self, role, process):
        self.role, self.process = role, process
        self.began, self.samples = time.monotonic(), []

    def sample(self):
        try:
            with open("/proc/%d/statm" % self.process.pid) as f:
                rss = int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
            fds = len(os.listdir("/proc/%d/fd" % self.process.pid))
        except (OSError, IndexError):
            return
        if rss:
            self.samples.append((time.monotonic() - self.began, rss, fds))


class Line:
    """The five processes and their supervisor."""

    def __init__(self, scratch, binary, feeder):
        at = {name: "ipc://%s/%s.sock" % (scratch, name) for name in ("pictures", "tensors", "scores")}
        infer = ["infer", "-m", MODEL, "--in", at["tensors"], "--out", "connect:" + at["scores"]]
        self.commands = {
            "capture": ["capture", "--watch", feeder.inbox, "--done", feeder.done, "--name", "soak",
                        "--out", at["pictures"]],
            "preprocess": ["preprocess", "--in", at["pictures"], "--out", at["tensors"]],
            "infer1": infer,
            "infer2": infer,
            "sink": ["sink", "--in", "bind:" + at["scores"], "--quiet", os.path.join(scratch, "store.db")],
        }
        self.binary, self.scratch = binary, scratch
        self.lives, self.past, self.ends, self.due = {}, [], [], {role: 0 for role in self.commands}
        self.killed = {role: 0 for role in self.commands}
        self.restarting = True

    def start(self, role):
        command = list(self.commands[role])
        command[0] = os.path.join(self.binary, command[0])
        with open(os.path.join(self.scratch, role + ".log"), "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.lives[role] = Life(role, process)

    def look_after(self):
        """Who has ended is noted, and started again after the supervisor's pause."""
        now = time.monotonic()
        for role in self.commands:
            life = self.lives.get(role)
            if life and life.process.poll() is not None:
                code = life.process.returncode
                if code != -signal.SIGKILL:
                    self.ends.append((role, code))
                    say("%s ended with %d" % (role, code))
                self.past.append(life)
                del self.lives[role]
                self.due[role] = now + RESTART_AFTER
            elif not life and self.restarting and now >= self.due[role]:
                self.start(role)

    def kill(self, role):
        if role in self.lives:
            self.lives[role].process.send_signal(signal.SIGKILL)
            self.killed[role] += 1

    def sample(self):
        for life in self.lives.values():
            life.sample()

    def all_lives(self):
        return self.past + list(self.lives.values())


def slope(points):
    """Least squares, per minute."""
    n = len(points)
    mx, my = sum(p[0] for p in points) / n, sum(p[1] for p in points) / n
    over = sum((x - mx) ** 2 for x, _ in points)
    return 60 * sum((x - mx) * (y - my) for x, y in points) / over if over else 0.0


def under_load(line, feeder, args, chance):
    began = time.monotonic()
    next_kill, next_sample, next_word = began + args.kill_every, began, began + 60
    roles = sorted(line.commands)
    while time.monotonic() - began < args.seconds:
        now = time.monotonic()
        line.look_after()
        if now >= next_kill:
            spared = roles[int((now - began) / args.seconds * len(roles)) % len(roles)]
            line.kill(chance.choice([r for r in roles if r != spared]))
            next_kill += args.kill_every
        if now >= next_sample:
            line.sample()
            next_sample = now + args.sample_every
        if now >= next_word:
            say("%d s: %d pictures dropped, %d stored and put away, %d killed" %
                (now - began, feeder.fed, feeder.left, sum(line.killed.values())))
            next_word += 60
        time.sleep(0.05)


def drain(line, feeder, limit):
    """Nobody is killed any more: the folder empties, then a request to stop ends the line. False: it does not."""
    feeder.stop = True
    feeder.join()
    deadline = time.monotonic() + limit
    while feeder.waiting() and time.monotonic() < deadline:
        line.look_after()
        time.sleep(0.05)
    say("%d pictures are left in the folder" % feeder.waiting())
    line.restarting = False
    if "capture" in line.lives:
        line.lives["capture"].process.terminate()
    while line.lives and time.monotonic() < deadline + 60:
        line.look_after()
        time.sleep(0.05)
    stuck = sorted(line.lives)
    for role in stuck:
        line.kill(role)
    feeder.sweep()
    return stuck


def judge(line, feeder, store, stuck):
    """[(what, figure, holds)]"""
    db = sqlite3.connect(store)

    def one(query):
        return db.execute(query).fetchone()[0] or 0

    rows, parts = one("select count(*) from results"), one("select count(distinct image) from results")
    dead = one("select count(*) from results where verdict = 'error' and reason like 'every worker%'")
    errors = one("select count(*) from results where verdict = 'error'") - dead
    drops = one("select sum(last - first + 1) from drops")
    answers = {}
    for image, scores in db.execute("select image, scores from results where verdict is not 'error'"):
        answers.setdefault(int(os.path.basename(image)[:9]) % PICTURES, set()).add(scores)
    faults = [e for e in line.ends if e[1] in FAULTS or (e[1] < 0 and e[1] != -signal.SIGKILL)]
    return [
        ("pictures dropped into the folder", feeder.fed, feeder.fed > 0),
        ("rows", rows, rows + drops == feeder.fed),
        ("… of them dead (three workers died over it)", dead, True),
        ("… of them other errors", errors, errors == 0),
        ("counted drops", drops, True),
        ("emitted − (rows + drops)", feeder.fed - rows - drops, feeder.fed == rows + drops),
        ("pictures with two rows", rows - parts, rows == parts),
        ("pictures left in the folder", feeder.waiting(), feeder.waiting() == 0),
        ("same picture, other scores", sum(len(a) > 1 for a in answers.values()),
         all(len(a) == 1 for a in answers.values())),
        ("ends that are a fault", " ".join("%s:%d" % e for e in faults) or 0, not faults),
        ("processes that did not end", " ".join(stuck) or 0, not stuck),
    ]


def report(line, feeder, args, seed, judged, out):
    killed = ", ".join("%s %d" % k for k in sorted(line.killed.items()))
    own = [e for e in line.ends if e[1] != 0]
    usage = os.times()
    out.write("%d s, %g pictures a second, kill -9 every %g s, seed %d\n\n" %
              (args.seconds, args.rate, args.kill_every, seed))
    out.write("| | |\n|---|---|\n")
    for what, figure, holds in judged:
        out.write("| %s | %s%s |\n" % (what, figure, "" if holds else " **NO**"))
    out.write("| killed | %d: %s |\n" % (sum(line.killed.values()), killed))
    out.write("| ended by themselves with another code than 0, started again | %s |\n" %
              (", ".join("%s %d" % e for e in own) or "none"))
    out.write("| processor time of all stages, per picture | %.2f ms |\n" %
              ((usage.children_user + usage.children_system) * 1000 / max(1, feeder.fed)))
    out.write("\nMemory and descriptors of the longest life of each stage, without its first minute:\n\n")
    out.write("| stage | lived s | KiB at first | KiB at last | KiB/min | descriptors first, last | per min |\n")
    out.write("|---|---|---|---|---|---|---|\n")
    for role in sorted(line.commands):
        lives = [l for l in line.all_lives() if l.role == role and l.samples]
        if not lives:
            continue
        life = max(lives, key=lambda l: l.samples[-1][0])
        s = [p for p in life.samples if p[0] >= 60] or life.samples
        out.write("| %s | %d | %d | %d | %+.1f | %d, %d | %+.2f |\n" %
                  (role, life.samples[-1][0], s[0][1], s[-1][1], slope([(p[0], p[1]) for p in s]), s[0][2], s[-1][2],
                   slope([(p[0], p[2]) for p in s])))
    out.flush()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--rate", type=float, default=200)
    p.add_argument("--kill-every", type=float, default=5)
    p.add_argument("--sample-every", type=float, default=2)
    p.add_argument("--seed", type=int)
    p.add_argument("--bin", default=os.path.join(os.environ.get("BUILD", os.path.join(TOP, "build")), "bin"))
    p.add_argument("--keep", help="work here and leave store and logs")
    args = p.parse_args()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1 << 32)
    say("seed %d" % seed)
    if args.keep:
        os.makedirs(args.keep)
    scratch = os.path.abspath(args.keep or tempfile.mkdtemp(prefix="andon-soak-"))
    feeder = Feeder(scratch, args.rate)
    line = Line(scratch, args.bin, feeder)
    try:
        line.look_after()
        feeder.start()
        under_load(line, feeder, args, random.Random(seed))
        stuck = drain(line, feeder, 120)
        judged = judge(line, feeder, os.path.join(scratch, "store.db"), stuck)
        report(line, feeder, args, seed, judged, sys.stdout)
        with open(os.path.join(scratch, "samples.tsv"), "w") as f:
            for number, life in enumerate(line.all_lives()):
                for s in life.samples:
                    f.write("%s\t%d\t%.1f\t%d\t%d\n" % (life.role, number, *s))
    finally:
        for life in line.lives.values():
            life.process.kill()
            life.process.wait()
        if not args.keep:
            shutil.rmtree(scratch, ignore_errors=True)
    return 0 if all(holds for _, _, holds in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
