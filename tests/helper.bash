# What every Bats file starts with: the programs on PATH, the shared test data, waiting on conditions.
# shellcheck shell=bash
bats_require_minimum_version 1.5.0

TOP=$(cd "${BATS_TEST_DIRNAME}/.." && pwd)
BUILD=${BUILD:-$TOP/build}
BIN=$BUILD/bin
PATH=$BIN:$PATH
DATA=${ANDON_DATA:-$TOP/../shared/data}
PYTHON=/usr/bin/python3
export TOP BUILD BIN PATH DATA PYTHON

# Addresses, locks and sockets of a test stay in the test's own folder.
export XDG_RUNTIME_DIR=${BATS_TEST_TMPDIR:-/tmp}

# need_data PATH…: skip the test, with a word, where this test material is not installed.
need_data() {
	local path
	for path; do
		[ -e "$DATA/$path" ] || skip "no test data: $path"
	done
}

# need_python MODULE…: the same for modules of Debian's Python.
need_python() {
	local module
	for module; do
		"$PYTHON" -c "import $module" 2>/dev/null || skip "no Python module: $module"
	done
}

# Are the programs built with a sanitizer? It reserves terabytes, and keeps freed memory for a while: no test of
# memory means anything then.
sanitized() {
	grep -qaE '__(asan|tsan)_init' "$BIN/infer"
}

# wait_until SECONDS COMMAND…: until the command succeeds; fails when the time is over. The seconds are those of a machine
# that has nothing else to do; any other gets five times as many.
wait_until() {
	local deadline=$((SECONDS + 5 * $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || {
			echo "not within the time: $*" >&2
			return 1
		}
		sleep 0.02
	done
}

# free_port [N]: the first of N TCP ports in a row (1) that nobody has. They are not among those that the kernel gives to whoever
# asks for any, so that nobody gets them by chance before the test does; and tests that run side by side look in other places.
free_port() {
	"$PYTHON" - "$$" "${1:-1}" <<-'END'
		import socket, sys
		pid, row = map(int, sys.argv[1:])
		def free(port):
		    with socket.socket() as s:
		        try:
		            s.bind(("", port))
		        except OSError:
		            return False
		        return True
		places = (10000 + (pid + k) * 8 % 20000 for k in range(2500))
		print(next(p for p in places if all(free(p + i) for i in range(row))))
	END
}

# A process that this test started and must end with it: start NAME COMMAND…; its pid is in $NAME.
start() {
	local name=$1
	shift
	"$@" &
	printf -v "$name" '%s' "$!"
	printf '%s\n' "$!" >>"$BATS_TEST_TMPDIR/pids"
}

# Called by a file's teardown: ends what start began, by pid.
end_started() {
	local pid
	[ -e "$BATS_TEST_TMPDIR/pids" ] || return 0
	while read -r pid; do
		kill -9 "$pid" 2>/dev/null || true
	done <"$BATS_TEST_TMPDIR/pids"
}

# rows DB: how many results it holds; sql DB QUERY: what sqlite says.
sql() {
	sqlite3 -cmd '.timeout 5000' "$1" "$2"
}
rows() {
	sql "$1" 'select count(*) from results'
}
