#!/usr/bin/python3
"""sweep.py [--sample N] [--stage NAME] [--call NAME] [--errno NAME] [--nth N] BUILD

The whole line over a few pictures, again and again; in each run one call of one stage fails (tests/faults/shim.c). What
must come of it: the line ends well and the store is that of a calm run; or somebody ends with an error (a code that says
"try again" or names the system, one line that says why; or a library ended the program, as libzmq does when memory is short), and
the same line again makes the store that of a calm run. Never wrong data, never a hang.

The calls of a calm run are counted first; of each kind N are tried: the first ones and evenly from the rest."""
import argparse, errno, json, os, shutil, signal, sqlite3, subprocess, sys, tempfile, time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
DEMO = os.path.join(TOP, "pipelines", "demo")
PARTS = ["ring-00%d.png" % i for i in (1, 2, 3)] + ["ring-010.jpg"]
STAGES = ["capture", "preprocess", "infer", "sink"]
ERRORS = {"alloc": ["ENOMEM"], "write": ["EIO", "ENOSPC", "EINTR", "SHORT"], "sync": ["EIO", "ENOSPC"],
          "send": ["EIO", "ENOMEM", "EINTR", "SHORT"], "open": ["EMFILE"]}
FAIR = {71, 73, 74, 75}  # the system; cannot create; cannot write; try again
FOREIGN = ("libzmq", "libstdc++", "libblis", "libpgm")  # they end the program, or crash, when memory is short
SECONDS = 150  # far from what it takes: a busy machine is not a hang

options = argparse.ArgumentParser()
options.add_argument("build")
options.add_argument("--sample", type=int, default=40)
options.add_argument("--stage", choices=STAGES)
options.add_argument("--call", choices=sorted(ERRORS))
options.add_argument("--errno")
options.add_argument("--nth", type=int)
options.add_argument("-v", action="store_true")
options = options.parse_args()
BIN = os.path.abspath(os.path.join(options.build, "bin"))
SHIM = os.path.abspath(os.path.join(options.build, "test", "fault_shim.so"))


def commands(folder):
    return [["capture"] + [os.path.join("parts", p) for p in PARTS] + ["--name", "parts"], ["preprocess"],
            ["infer", "-m", "rings.onnx"], ["sink", "--quiet", "x.db", "x.jsonl"]]


def run_line(folder, victim=None, shim=None):
    """Exit codes and standard errors by stage; None: it hung."""
    processes, feed = [], subprocess.DEVNULL
    logs = {}
    for command in commands(folder):
        name = command[0]
        environment = dict(os.environ, XDG_RUNTIME_DIR=folder)
        if name == victim:
            environment.update(shim, LD_PRELOAD=SHIM)
        logs[name] = os.path.join(folder, name + ".err")
        with open(logs[name], "wb") as err:
            last = name == "sink"
            p = subprocess.Popen([os.path.join(BIN, name)] + command[1:], cwd=folder, env=environment, stdin=feed,
                                 stdout=subprocess.DEVNULL if last else subprocess.PIPE, stderr=err)
        if feed != subprocess.DEVNULL:
            feed.close()
        feed = p.stdout
        processes.append((name, p))
    until, hung = time.monotonic() + SECONDS, []
    for name, p in processes:
        try:
            p.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            hung.append(name)
            if options.v:
                os.system("gdb -p %d -batch -ex 'thread apply all bt 8' 2>/dev/null | tail -40" % p.pid)
    for _, p in processes:
        if p.poll() is None:
            p.kill()
            p.wait()
    texts = {name: open(path, errors="replace").read() for name, path in logs.items()}
    return {name: p.returncode for name, p in processes}, texts, hung


def contents(folder):
    """What the store and the text file hold, but for times and who did it."""
    path = os.path.join(folder, "x.db")
    if not os.path.exists(path):
        return []
    db = sqlite3.connect(path)
    try:
        rows = db.execute("select source, run, seq, image, verdict, reason, label, label_id, score, scores, model, model_sha256,"
                          " recipe_sha256, kernels, meta from results order by source, run, seq").fetchall()
    except sqlite3.OperationalError:  # no tables yet
        rows = []
    db.close()
    return rows


def lines(folder):
    path = os.path.join(folder, "x.jsonl")
    text = open(path).read() if os.path.exists(path) else ""
    return sorted((r["seq"], r.get("label"), r.get("score"), r.get("scores")) for r in map(json.loads, text.splitlines()))


def fresh():
    folder = tempfile.mkdtemp(prefix="sweep-")
    for name in ("rings.onnx", "rings.json"):
        os.symlink(os.path.join(DEMO, name), os.path.join(folder, name))
    os.symlink(os.path.join(DEMO, "parts"), os.path.join(folder, "parts"))
    return folder


def sockets(folder):
    return [os.path.join(d, f) for d, _, fs in os.walk(folder) for f in fs
            if os.path.exists(os.path.join(d, f)) and (os.stat(os.path.join(d, f)).st_mode & 0o170000) == 0o140000]


def judge(folder, victim, codes, texts, hung, told):
    """What was wrong with the faulted run and the one after it, as sentences; and how it ended."""
    wrong = []
    aborted = False
    if hung:
        wrong.append("hung: %s" % ", ".join(hung))
    for name, code in codes.items():
        if code == 0 or name in hung:
            continue
        if name == victim and code in (-signal.SIGABRT, -signal.SIGSEGV) and innermost(told).startswith(FOREIGN):
            aborted = True
        elif code < 0 and not hung:
            wrong.append("%s ended by signal %d" % (name, -code))
        elif code not in FAIR and not hung:
            wrong.append("%s ended with %d" % (name, code))
        said = [line for line in texts[name].splitlines() if ": error: " in line]
        if name == victim and code > 0 and len(said) != 1:
            wrong.append("%s said %d errors: %r" % (name, len(said), said))
    good = all(code == 0 for code in codes.values())
    got = contents(folder)
    strange = [row for row in got if row not in CALM]
    if strange:
        wrong.append("%d wrong rows: %r" % (len(strange), strange[0]))
    if good and (got != CALM or lines(folder) != CALM_LINES):
        wrong.append("all ended well, but of %d rows %d are there, and %d lines" % (len(CALM), len(got), len(lines(folder))))
    if not good and not wrong:
        codes2, texts2, hung2 = run_line(folder)
        if hung2 or any(codes2.values()):
            wrong.append("the line again: %r %r %r" % (codes2, hung2, texts2))
        elif contents(folder) != CALM or lines(folder) != CALM_LINES:
            wrong.append("the line again did not complete the store: %d rows, %d lines" % (len(contents(folder)), len(lines(folder))))
    if not wrong and sockets(folder) and not aborted:
        wrong.append("sockets left: %r" % sockets(folder))
    codes = sorted({code for code in codes.values() if code > 0})
    return wrong, "retried" if good else "aborted by a library" if aborted else "ended with %s" % "/".join(map(str, codes))


def places(told):
    """The frames of our own programs, as function and line."""
    out = []
    for frame in told.split()[2:]:
        name, _, offset = frame.rpartition("+")
        if name not in STAGES:
            out.append(frame)
            continue
        where = subprocess.run(["addr2line", "-fsCe", os.path.join(BIN, name), hex(int(offset, 16) - 1)], capture_output=True,
                               text=True).stdout.split("\n")
        out.append(":".join(where[:2]))
    return " < ".join(out)


def innermost(told):
    """The library or program that called, seen through the C library."""
    return next((frame for frame in told.split()[2:] if not frame.startswith(("libc.so", "ld-linux"))), "")


def one(case):
    victim, call, name, n = case
    folder = fresh()
    told = os.path.join(folder, "told")
    number = 0 if name == "SHORT" else getattr(errno, name)
    shim = {"SHIM_CALL": call, "SHIM_NTH": str(n), "SHIM_ERRNO": str(number), "SHIM_TOLD": told}
    codes, texts, hung = run_line(folder, victim, shim)
    caller = open(told).read().strip() if os.path.exists(told) else ""
    wrong, how = judge(folder, victim, codes, texts, hung, caller)
    if not caller:
        how = "not reached"
    if wrong or options.v:
        print("%s %s %s n=%d: %s: %s\n   codes %r\n   by %s\n   said %r" % (victim, call, name, n, how, "; ".join(w[:200] for w in wrong) or "good", codes, places(caller),
              {k: v for k, v in texts.items() if v}), flush=True)
    shutil.rmtree(folder)
    return not wrong, how


def sample(calls):
    """Half of them small n, the others evenly."""
    few = min(calls, options.sample // 2)
    rest = options.sample - few
    return sorted(set(range(1, few + 1)) | {few + (calls - few + 1) * i // (rest + 1) for i in range(1, rest + 1)} - {0})


def cases():
    for victim in [options.stage] if options.stage else STAGES:
        for call in [options.call] if options.call else ERRORS:
            for name in [options.errno] if options.errno else ERRORS[call]:
                for n in [options.nth] if options.nth else sample(COUNTS[victim][call]):
                    yield victim, call, name, n


COUNTS = {}
for stage in STAGES:
    folder = fresh()
    codes, texts, hung = run_line(folder, stage, {"SHIM_COUNT": os.path.join(folder, "count")})
    if hung or any(codes.values()):
        sys.exit("the calm line failed: %r %r" % (codes, texts))
    words = open(os.path.join(folder, "count")).read().split()
    COUNTS[stage] = dict(zip(words[::2], map(int, words[1::2])))
    CALM, CALM_LINES = contents(folder), lines(folder)
    shutil.rmtree(folder)
if len(CALM) != len(PARTS) or len(CALM_LINES) != len(PARTS):
    sys.exit("the calm line stored %d rows" % len(CALM))
with ThreadPoolExecutor(2) as pool:
    results = list(pool.map(one, cases()))
print("calls of a calm run: " + "; ".join("%s %s" % (s, " ".join("%s %d" % c for c in COUNTS[s].items())) for s in STAGES))
bad = sum(not good for good, _ in results)
print("%d failed calls: %s; %d broke the rules" % (len(results), ", ".join("%d %s" % (n, how) for how, n in Counter(
    how for _, how in results).most_common()), bad))
sys.exit(bad > 0)
