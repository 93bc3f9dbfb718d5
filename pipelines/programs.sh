# shellcheck shell=sh
# Put andon's programs on PATH: those of this checkout if they are built, or else the installed ones.
# To be sourced; a script of your own needs one line only:  PATH=$(andon --exec-path):$PATH
here=$(dirname "$0")
for bin in "${BUILD:+$BUILD/bin}" "$here/../build/bin" "$here/../../build/bin" "$(andon --exec-path 2>/dev/null || true)"; do
	if [ -n "$bin" ] && [ -x "$bin/capture" ]; then
		PATH=$(cd "$bin" && pwd):$PATH
		break
	fi
done
for program in capture preprocess infer sink; do
	command -v "$program" >/dev/null && continue
	echo "$(basename "$0"): error: no program '$program': run make first, or make install" >&2
	exit 69
done
