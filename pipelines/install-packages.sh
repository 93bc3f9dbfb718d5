#!/bin/sh
# Install the Debian packages named on the command line, if any of them is missing.
set -eu

missing=
for package; do
	state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
	[ "$state" = 'install ok installed' ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || {
		echo "these packages are missing, and neither root nor sudo is here to install them:$missing" >&2
		exit 69
	}
	as_root=sudo
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
quiet='-qq -o Dpkg::Use-Pty=0'
# shellcheck disable=SC2086  # word splitting is meant
{
	$as_root apt-get $quiet update
	$as_root apt-get $quiet install -y --no-install-recommends $missing >/dev/null
}
