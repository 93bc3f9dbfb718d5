#!/bin/sh
# serve-metrics PORT URL…: what `andon ping --prometheus URL…` says, at http://HERE:PORT/metrics.txt, at most EVERY (5) seconds old.
#
# busybox's web server gives out one file of a folder that holds nothing else. No request starts anything or reaches a stage: whoever
# asks a thousand times a second gets the same file. Ends when the server does, or when the file cannot be written any more.
set -eu
[ $# -ge 2 ] || { echo "usage: serve-metrics PORT URL..." >&2; exit 64; }
here=$(dirname "$0")
for ping in "${PING:-}" "$here/../../lib/andon/ping" ping; do
	if command -v "$ping" >/dev/null; then break; fi
done
port=$1
shift
work=${TMPDIR:-/tmp}/andon-metrics.$$
trap 'rm -rf "$work"' EXIT
trap 'exit 0' INT TERM
mkdir -m 700 "$work" "$work/web"
look() {
	"$ping" --prometheus "$@" >"$work/new" 2>"$work/why" || [ $? -lt 64 ] || [ -s "$work/new" ] || { cat "$work/why" >&2; return 1; }
	mv "$work/new" "$work/web/metrics.txt"
}
look "$@"
busybox httpd -f -p "$port" -h "$work/web" &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT
while kill -0 $server 2>/dev/null; do
	sleep "${EVERY:-5}" &
	wait $! # (a signal is heard at once)
	look "$@"
done
echo "serve-metrics: error: the web server has ended" >&2
exit 75
