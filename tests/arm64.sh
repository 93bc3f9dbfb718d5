#!/usr/bin/env bash
# The engine built for arm64 and tested there under qemu-user: `make test-arm64`.
#
# Debian's arm64 libraries are unpacked into build/arm64/root, with an apt state of their own, so that the machine
# that builds keeps its own packages: only the cross compiler and qemu-user are installed there. Then the C drivers
# of the engine, ONNX's backend cases where they are (ANDON_DATA), and the outputs of some networks with the reference
# kernels: the same bytes as this machine's own builds compute, by gcc and by clang.
set -euo pipefail
cd "$(dirname "$0")/.." || exit
build=$PWD/build/arm64
root=$build/root
export BUILD=${BUILD:-$PWD/build}
data=${ANDON_DATA:-$PWD/../shared/data}
runtime=(libc6-dev libzmq5 libmsgpackc2 libjansson4 libsodium23 libprotobuf-c1 libblis4-openmp)
headers=(libzmq3-dev libmsgpack-dev libjansson-dev libsodium-dev libprotobuf-c-dev libblis-openmp-dev)

# apt for arm64 alone, which knows no installed package and takes no rights.
apt_arm64() {
	local own=$build/apt
	mkdir -p "$own/lists/partial" "$own/cache/archives/partial"
	: >"$own/status"
	apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$own" \
		-o Dir::State::Lists="$own/lists" -o Dir::State::status="$own/status" -o Dir::Cache="$own/cache" \
		-o Debug::NoLocking=1 -o Dpkg::Use-Pty=0 -o APT::Sandbox::User="$(id -un)" "$@"
}

make_root() {
	[ -e "$root/.done" ] && return
	echo "unpacking Debian's arm64 libraries into ${root#"$PWD"/}"
	rm -rf "$root"
	mkdir -p "$root"
	apt_arm64 update
	apt_arm64 -y --no-install-recommends --download-only install "${runtime[@]}" >/dev/null
	(cd "$build/apt/cache/archives" && apt_arm64 download "${headers[@]}" >/dev/null)
	local package
	for package in "$build"/apt/cache/archives/*.deb; do
		dpkg-deb -x "$package" "$root"
	done
	# What the packages' own scripts would have linked, for the linker and for the loader.
	ln -s blis-openmp/libblis.so blis-openmp/libblis.so.4 "$root/usr/lib/aarch64-linux-gnu/"
	ln -s blis-openmp/blis.h "$root/usr/include/aarch64-linux-gnu/"
	rm -rf "$build/apt"
	: >"$root/.done"
}

# The engine and its drivers; the other rooms know nothing of processors.
build_all() {
	local names=() quietly=(make -s -j"$(nproc)" --no-print-directory)
	mapfile -t names < <(find tests/c -name 'infer_*.c' -printf '%f\n' | sed 's/\.c$//' | LC_ALL=C sort)
	"${quietly[@]}" B=build/arm64 CC="aarch64-linux-gnu-gcc --sysroot=$root" \
		"${names[@]/#/build/arm64/test/}" build/arm64/bin/infer build/arm64/bin/onnx-cases
	"${quietly[@]}" B=build/clang CC=clang build/clang/bin/infer build/clang/bin/onnx-cases
}

on_arm64() {
	local program=$1
	shift
	QEMU_LD_PREFIX=$root qemu-aarch64 "$build/$program" "$@"
}

drivers() {
	local source name
	for source in tests/c/infer_*.c; do
		name=$(basename "$source" .c)
		grep -q 'run by: ' "$source" && continue
		if on_arm64 "test/$name" >"$build/$name.log" 2>&1; then
			echo "ok   $name: $(tail -n 1 "$build/$name.log")"
		else
			echo "FAIL $name"
			tail -n 20 "$build/$name.log"
			return 1
		fi
	done
}

cases() {
	local kernels=$1
	shift
	if ! on_arm64 bin/onnx-cases --quiet --kernels "$kernels" "$@" >"$build/cases.log"; then
		grep '^fail ' "$build/cases.log" || tail -n 20 "$build/cases.log"
		return 1
	fi
	echo "ok   cases, $kernels kernels: $(tail -n 1 "$build/cases.log")"
}

# Every case's outputs with the reference kernels: the same bytes from gcc and clang here and from gcc there.
same_cases() {
	"$BUILD/bin/onnx-cases" --bytes --kernels reference "$@" >"$build/gcc.bytes"
	build/clang/bin/onnx-cases --bytes --kernels reference "$@" >"$build/clang.bytes"
	on_arm64 bin/onnx-cases --bytes --kernels reference "$@" >"$build/arm64.bytes"
	diff "$build/gcc.bytes" "$build/clang.bytes"
	diff "$build/gcc.bytes" "$build/arm64.bytes"
	echo "same bytes by gcc, clang, on arm64: $(tail -n 1 "$build/gcc.bytes")"
}

pipelines/install-packages.sh gcc-aarch64-linux-gnu qemu-user clang jq
make_root
build_all
drivers
folders=()
[ ! -d "$data/onnx" ] || folders=("$data"/onnx/{node,simple,pytorch-converted,pytorch-operator})
if /usr/bin/python3 -c 'import onnx, numpy' 2>/dev/null; then
	rm -rf "$build/specification"
	(cd tests && /usr/bin/python3 specification.py "$build/specification" >/dev/null)
	folders+=("$build/specification")
fi
if [ ${#folders[@]} -gt 0 ]; then
	cases native "${folders[@]}"
	same_cases "${folders[@]}"
else
	echo "skip cases: no test data (onnx) and no python3-onnx"
fi
tests/same_bytes.sh "$BUILD/bin/infer" build/clang/bin/infer "env QEMU_LD_PREFIX=$root qemu-aarch64 $build/bin/infer"
