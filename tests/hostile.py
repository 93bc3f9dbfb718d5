#!/usr/bin/python3
"""Hostile models: written with ONNX's own library, judged by what `infer --check` does with them.

    hostile.py make FOLDER             write the models, a folder of .onnx files (needs python3-onnx)
    hostile.py judge FOLDER INFER      check each: within SECONDS, within 16 x its size + 64 MB, one line on stderr
    hostile.py survive FOLDER INFER    the same without the bounds, for a build with a sanitizer

A model's name begins with what it must get: `no-` a refusal (exit 65), `yes-` a plan (exit 0), `any-` either. Memory
of those that are accepted is their plan's matter. A folding bomb may take what is stated for computed constants too.
"""
import os
import resource
import sys
import time

SECONDS = 2.0
COMPUTED = 768 << 20  # MODELS.md: what may be computed from a model's own constants


# --- judging; without onnx, so that this process is small: Linux counts the parent's pages to a child's peak -------------

def judge_one(infer, path, folder, bounds):
    name = os.path.basename(path)
    began = time.monotonic()
    pid = os.posix_spawn(infer, [infer, "--check", path], os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, folder + "/out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, folder + "/err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)])
    status, usage = os.wait4(pid, 0)[1:]
    seconds = min(time.monotonic() - began, usage.ru_utime + usage.ru_stime + 0.5)  # others may hold the processor
    code = os.waitstatus_to_exitcode(status)
    with open(folder + "/err", "rb") as f:
        lines = f.read().splitlines()
    with open(folder + "/out", "rb") as f:
        out = f.read(400)
    most = (16 * os.path.getsize(path) + (64 << 20) + COMPUTED * ("bomb" in name)) >> 10
    wanted = {"no": (65,), "yes": (0,), "any": (0, 65)}[name.split("-")[0]]
    faults = []
    if code not in wanted:
        faults.append(f"exit {code}")
    if bounds and seconds > SECONDS:
        faults.append(f"{seconds:.1f} s")
    if bounds and code == 65 and usage.ru_maxrss > most:
        faults.append(f"{usage.ru_maxrss >> 10} MB instead of {most >> 10}")
    if len(lines) != (1 if code == 65 else 0):
        faults.append(f"{len(lines)} lines")
    said = (out or b" ".join(lines[:1])).decode(errors="replace").strip().split("\n")[0][:170]
    print(f"{'FAIL ' + ', '.join(faults) if faults else 'ok'} {name} {os.path.getsize(path)} B {seconds:.2f} s "
          f"{usage.ru_maxrss >> 10} MB: {said}", flush=True)
    return not faults


def judge(folder, infer, bounds):
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20) if bounds else (200, 200))
    names = sorted(n for n in os.listdir(folder) if n.endswith(".onnx"))
    bad = sum(not judge_one(os.path.abspath(infer), os.path.join(folder, n), folder, bounds) for n in names)
    print(f"{len(names)} hostile models, {bad} not as they should be")
    return 1 if bad or not names else 0


def main():
    if sys.argv[1] in ("judge", "survive"):
        return judge(sys.argv[2], sys.argv[3], sys.argv[1] == "judge")
    import hostile_models  # beside this file
    return hostile_models.write(sys.argv[2])


if __name__ == "__main__":
    sys.exit(main())
