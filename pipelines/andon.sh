#!/bin/sh
# andon COMMAND …: run one of andon's programs. `make install` puts this file into bin as `andon` and
# the programs, whose names are too common for everybody's PATH, into lib/andon. From a checkout,
# pipelines/andon.sh does the same with what `make` built.
set -eu

lib='@LIB@'
case $lib in
@*) lib=${BUILD:-$(dirname "$0")/../build}/bin ;; # not installed: the line above is as it was written
esac

commands() {
	for program in "$lib"/*; do
		if [ ! -f "$program" ] || [ ! -x "$program" ]; then continue; fi
		# The first line of --help reads "NAME - what it is for".
		"$program" --help 2>/dev/null | awk 'NR == 1 {
			name = $1
			sub(/^[^ ]+ - /, "")
			printf "  %-12s %s\n", name, $0
		}'
	done
}

usage() {
	cat <<-END
	andon - visual inspection for production lines

	Usage: andon COMMAND [ARGUMENT…]

	Commands:
	$(commands)

	  andon COMMAND --help     all about a command
	  andon --version          version
	  andon --exec-path        where the programs lie; with that folder on PATH, plain names do:
	                           PATH=\$(andon --exec-path):\$PATH

	Example:
	  andon capture photos/ | andon preprocess | andon infer -m model.onnx | andon sink results.db
	END
}

fail() {
	echo "andon: error: $1" >&2
	echo "try andon --help" >&2
	exit 64
}

[ $# -gt 0 ] || { usage >&2; exit 64; }
command=$1
shift
case $command in
-h | --help) usage; exit 0 ;;
--exec-path) echo "$lib"; exit 0 ;;
--version)
	version=$("$lib/capture" --version)
	echo "andon ${version##* }"
	exit 0
	;;
help) # andon help, andon help capture
	[ $# -gt 0 ] || { usage; exit 0; }
	command=$1
	set -- --help
	;;
esac

case $command in
-*) fail "unknown option '$command'" ;;
*/* | .* | '') fail "'$command' is not a command" ;;
esac
if [ ! -f "$lib/$command" ] || [ ! -x "$lib/$command" ]; then fail "'$command' is not a command"; fi
exec "$lib/$command" "$@"
