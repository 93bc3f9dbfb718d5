"""A camera for the tests: pictures on standard output, one after the other, number N with a width of N + 1000.

camera.py COUNT [SECONDS BETWEEN [BYTES OF EACH]]   (COUNT 0: for ever)
"""
import itertools
import sys
import time

count, pause, size = [float(x) for x in (sys.argv[1:] + ["0", "0"])[:3]]
started = time.monotonic()
for n in range(int(count)) if count else itertools.count():
    width = n % 10000 + 1000
    height = max(1, int(size) // width)
    picture = b"P5\n%d %d\n255\n" % (width, height)
    sys.stdout.buffer.write(picture + bytes([n % 256]) * (width * height))
    sys.stdout.buffer.flush()
    time.sleep(max(0, started + pause * (n + 1) - time.monotonic()))
