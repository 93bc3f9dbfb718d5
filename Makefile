# andon: visual inspection for production lines.
#
#   make demo      install what is missing, build, classify the pictures in pipelines/demo
#   make test      install what the tests need, build, run them all
#   make           build the programs into build/bin
#   make install   PREFIX=/usr/local DESTDIR=
#
# Switches: V=1 shows commands; SANITIZE=1 (address and undefined behaviour), SANITIZE=thread; B=DIR builds
# elsewhere. A new source file needs no edit here: a folder's files belong to its program, tests/c/ROOM_x.c
# is linked with ROOM, tests/fuzz/ROOM_x.c too.

PREFIX ?= /usr/local
CFLAGS ?= -O2 -g
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
silent := $(findstring s,$(firstword -$(filter-out --%,$(MAKEFLAGS))))
say = $(if $(filter 1,$(V))$(silent),@:,@echo "  $(1)")
jobs := -j$(shell nproc)

ifeq ($(SANITIZE),1)
  B ?= build/asan
  sanitize := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(SANITIZE),thread)
  B ?= build/tsan
  sanitize := -fsanitize=thread -fno-omit-frame-pointer
endif
B ?= build

stages := capture preprocess infer sink
rooms  := common $(stages)

# One owner per library (the folder that may include its headers).
packages := libzmq3-dev libmsgpack-dev libpng-dev libdeflate-dev libjpeg62-turbo-dev libblis-dev libprotobuf-c-dev \
	protobuf-c-compiler libonnx-dev libsqlite3-dev libjansson-dev libsodium-dev gcc libc6-dev
test_packages := bats bats-assert bats-support shellcheck sqlite3 jq clang clang-format libclang-rt-14-dev man-db procps \
	python3-pil python3-numpy python3-onnx python3-zmq python3-msgpack python3-opencv ffmpeg \
	slurmctld slurmd slurm-client munge iproute2 iptables systemd \
	python3-yaml python3-jsonschema python3-prometheus-client podman catatonit debootstrap runc busybox-static
libs_common     := -lzmq -lmsgpackc -lsodium -ljansson -lpthread -lm
libs_capture    := -lpng -ljpeg -ldeflate
libs_preprocess :=
libs_infer      := -lprotobuf-c -lblis
libs_sink       := -lsqlite3

flags := -std=c11 -D_GNU_SOURCE -I. -I$(B)/gen -Wall -Wextra -Wshadow -Wpointer-arith -ffp-contract=off -pthread -MMD -MP $(sanitize)

sources_of = $(shell find $(1) -name "*.c" 2>/dev/null | LC_ALL=C sort)
objects_of = $(patsubst %.c,$(B)/obj/%.o,$(filter-out infer/kernels/isa/% infer/kernels/vnni/%,$(call sources_of,$(1))))
programs := $(patsubst %/main.c,$(B)/bin/%,$(wildcard $(stages:%=%/main.c)))
# A tool is a program in a folder of a room: ROOM/TOOL/main.c, linked with ROOM.
tool_mains := $(wildcard $(rooms:%=%/*/main.c))
tools    := $(foreach m,$(tool_mains),$(B)/bin/$(word 2,$(subst /, ,$(m))))
tests    := $(patsubst tests/c/%.c,$(B)/test/%,$(wildcard tests/c/*.c))
fuzzers  := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/*.c))
units    := $(patsubst pipelines/systemd/%,%,$(wildcard pipelines/systemd/*.service pipelines/systemd/*.target \
	pipelines/systemd/andon-.service.d/*.conf pipelines/systemd/keys.conf))
mans     := $(patsubst $(B)/bin/%,$(B)/man/andon-%.1,$(programs) $(tools))

all: $(programs) $(tools) $(B)/bin/onnx-cases

# --- building ---------------------------------------------------------------------------------------

$(B)/obj/%.o: %.c
	$(call say,CC    $<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(flags) $(CFLAGS) -c -o $@ $<

# Loops over elements: gcc vectorises few of them at -O2, and none that might set errno or a floating-point
# flag, which nobody reads. Values do not depend on it.
$(B)/obj/infer/ops/%.o $(B)/obj/infer/kernels/%.o: CFLAGS += -O3 -fno-math-errno -fno-trapping-math

$(programs): $(B)/bin/%: $(B)/obj/%/main.o $(B)/lib/%.a $(B)/lib/common.a
	$(call say,LD    $@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(sanitize) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(libs_$*) $(libs_common)

# ONNX's own description of its files, from Debian's libonnx-dev. (Debian ships the source of the
# message types; only infer/onnx includes what comes of it.)
$(B)/gen/onnx/onnx.pb-c.c: /usr/include/onnx/onnx.proto
	$(call say,GEN   $@)
	@mkdir -p $(@D)
	$(Q)cd /usr/include && protoc-c --c_out=$(abspath $(B)/gen) onnx/onnx.proto
$(B)/gen/onnx/onnx.pb-c.h: $(B)/gen/onnx/onnx.pb-c.c ;
$(B)/obj/gen/onnx.pb-c.o: $(B)/gen/onnx/onnx.pb-c.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(flags) $(CFLAGS) -w -c -o $@ $<
extra_infer += $(B)/obj/gen/onnx.pb-c.o
$(call objects_of,infer) $(B)/obj/tests/fuzz/infer_model.o: | $(B)/gen/onnx/onnx.pb-c.h

$(B)/man/andon-%.1: $(B)/bin/%
	@mkdir -p $(@D)
	$(Q)$< --man >$@
man: $(mans)

# Kernels in vector extensions are compiled once per instruction set and chosen at run time; the rest of
# the program runs on any processor of the architecture.
isas := base $(if $(findstring x86_64,$(shell $(CC) -dumpmachine 2>/dev/null)),avx2 avx512)
isa_flags_avx2   := -mavx2 -mfma
isa_flags_avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mprefer-vector-width=512
isa_sources := $(wildcard infer/kernels/isa/*.c)
define isa_rules
$(B)/obj/infer/kernels/isa/%.$(1).o: infer/kernels/isa/%.c
	$$(call say,CC    $$< ($(1)))
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CPPFLAGS) $$(flags) $$(CFLAGS) -ffp-contract=fast -DISA=$(1) $$(isa_flags_$(1)) $$(isa_own) $$(isa_more) -c -o $$@ $$<
extra_infer += $(isa_sources:%.c=$(B)/obj/%.$(1).o)
endef
$(foreach isa,$(isas),$(eval $(call isa_rules,$(isa))))
# These give the same bytes with every set: nothing is fused there, and loops are vectorised.
$(B)/obj/infer/kernels/isa/activate.%.o $(B)/obj/infer/kernels/isa/qwords.%.o $(B)/obj/infer/kernels/isa/qelement.%.o: isa_own := -O3 -ffp-contract=off

# Products of bytes for one set more.
ifneq ($(filter avx512,$(isas)),)
$(B)/obj/infer/kernels/vnni/%.o: infer/kernels/vnni/%.c
	$(call say,CC    $<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(flags) $(CFLAGS) $(isa_flags_avx512) -mavx512vnni -c -o $@ $<
extra_infer += $(patsubst %.c,$(B)/obj/%.o,$(wildcard infer/kernels/vnni/*.c))
endif

define room_rules
$(B)/lib/$(1).a: $$(filter-out %/main.o,$$(call objects_of,$(1)) $$(extra_$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
endef
$(foreach room,$(rooms),$(eval $(call room_rules,$(room))))

define tool_rule
$(B)/bin/$(2): $(B)/obj/$(1)/$(2)/main.o $(B)/lib/$(1).a $(B)/lib/common.a
	$$(call say,LD    $$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CFLAGS) $$(sanitize) $$(LDFLAGS) -Wl,--as-needed -o $$@ $$^ $$(if $$(filter common,$(1)),,$$(libs_$(1))) $$(libs_common)
endef
$(foreach m,$(tool_mains),$(eval $(call tool_rule,$(word 1,$(subst /, ,$(m))),$(word 2,$(subst /, ,$(m))))))

# --- tests: the first word of a driver's name says which room it is linked with ----------------------

room_of = $(firstword $(subst _, ,$(notdir $(1))))
.SECONDEXPANSION:
$(tests): $(B)/test/%: $(B)/obj/tests/c/%.o $$(B)/lib/$$(call room_of,$$*).a $(B)/lib/common.a
	$(call say,LD    $@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(sanitize) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(libs_$(call room_of,$*)) $(libs_common)

# The driver of ONNX's backend cases stands among the programs too: it judges any folder of cases.
$(B)/bin/onnx-cases: $(B)/test/infer_cases
	@mkdir -p $(@D)
	$(Q)cp $< $@

$(B)/test/link_sim: $(call objects_of,tests/sim) $(B)/lib/common.a
	$(call say,LD    $@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(sanitize) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(libs_common)

# Makes calls of a program fail: tests/faults/shim.c says how.
$(B)/test/fault_shim.so: tests/faults/shim.c
	$(call say,LD    $@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -fPIC -shared -o $@ $<

# Programs that a test can end at a named instant (common/failpoint.h); nobody installs them.
failpoints:
	$(Q)$(MAKE) -s --no-print-directory B=$(B)/failpoints CPPFLAGS="$(CPPFLAGS) -DFAILPOINTS" \
		$(patsubst %,$(B)/failpoints/bin/%,capture preprocess sink)

test-programs: all failpoints $(tests) $(B)/test/fault_shim.so $(if $(call sources_of,tests/sim),$(B)/test/link_sim)

test: deps-test
	@echo "building"
	$(Q)$(MAKE) -s $(jobs) --no-print-directory test-programs
	$(Q)BUILD=$(abspath $(B)) tests/run

# Every fault that the link is made for, by real processes: tests/faults/RESULTS.md says what came of it.
test-faults: deps-test
	$(Q)$(MAKE) -s $(jobs) --no-print-directory test-programs
	$(Q)BUILD=$(abspath $(B)) tests/faults/run

# The link, and the threads of the engine, under ThreadSanitizer.
test-threads: deps-test
	$(Q)$(MAKE) -s $(jobs) --no-print-directory SANITIZE=thread test-programs
	$(Q)BUILD=$(abspath build/tsan) TSAN_OPTIONS="suppressions=$(CURDIR)/tests/tsan.supp $(TSAN_OPTIONS)" \
		tests/run common_ infer_kernels wire link curve

# The engine on arm64, under qemu-user; and the same bytes from gcc, clang and both processors.
test-arm64: deps
	$(Q)$(MAKE) -s $(jobs) --no-print-directory $(B)/bin/infer $(B)/bin/onnx-cases
	$(Q)BUILD=$(abspath $(B)) tests/arm64.sh

# Fuzz targets need clang; the whole room is built again with its instrumentation (unrolled kernels without
# that for undefined behaviour, on which clang spends minutes a file).
fuzz: deps-test
	$(Q)$(MAKE) -s $(jobs) --no-print-directory B=build/fuzz CC=clang fuzz-programs \
		CFLAGS="-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all" \
		isa_more=-fno-sanitize=undefined
	$(Q)tests/fuzz/run $(or $(FUZZ_SECONDS),10)
fuzz-programs: $(fuzzers)
$(fuzzers): $(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $$(B)/lib/$$(call room_of,$$*).a $(B)/lib/common.a
	$(call say,LD    $@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(libs_$(call room_of,$*)) $(libs_common)

# Speed, with whatever peers are installed: see tests/bench/run for what can be chosen.
bench: all $(B)/bench/peak $(B)/bench/hop
	$(Q)BUILD=$(B) tests/bench/run
$(B)/bench/peak: tests/bench/peak.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(flags) -O2 -ffp-contract=fast -o $@ $<
$(B)/bench/hop: $(B)/obj/tests/bench/hop.o $(B)/lib/common.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(libs_common)

# A line under load whose stages are killed at random, for a minute; published is an hour of it (tests/soak/RESULTS.md):
# make soak SECONDS=3600
soak: all
	$(Q)tests/soak/soak.py --bin $(B)/bin --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

lint:
	$(Q)clang-format --dry-run --Werror $(call sources_of,$(rooms) tests) $(shell find $(rooms) tests -name '*.h')
	$(Q)shellcheck -x .ci/run tests/run tests/helper.bash tests/faults/run tests/faults/*.bash $(shell find pipelines tests -name '*.sh' -o -name '*.sbatch')

# --- the two commands, and what they need -----------------------------------------------------------

deps:
	$(Q)pipelines/install-packages.sh $(packages)
deps-test:
	$(Q)pipelines/install-packages.sh $(packages) $(test_packages)

demo: deps
	@echo "building"
	$(Q)$(MAKE) -s $(jobs) --no-print-directory all
	$(Q)BUILD=$(B) pipelines/demo/run.sh

install: all man
	install -d $(DESTDIR)$(PREFIX)/lib/andon $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install $(programs) $(tools) $(DESTDIR)$(PREFIX)/lib/andon
	sed 's|@LIB@|$(PREFIX)/lib/andon|' pipelines/andon.sh >$(DESTDIR)$(PREFIX)/bin/andon
	chmod 755 $(DESTDIR)$(PREFIX)/bin/andon
	install -m 644 $(mans) $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,lib/sysusers.d lib/systemd/system/andon-.service.d share/andon)
	for unit in $(units); do \
		sed 's|@LIB@|$(PREFIX)/lib/andon|; s|@SHARE@|$(PREFIX)/share/andon|' pipelines/systemd/$$unit \
			>$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit; \
	done
	mv $(DESTDIR)$(PREFIX)/lib/systemd/system/keys.conf $(DESTDIR)$(PREFIX)/share/andon
	install -m 644 pipelines/systemd/andon.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/andon.conf
	install pipelines/take-keys.sh pipelines/serve-metrics.sh $(DESTDIR)$(PREFIX)/share/andon

clean:
	rm -rf build

.PHONY: all man failpoints test test-faults test-threads test-arm64 test-programs fuzz fuzz-programs lint deps deps-test demo install \
	clean bench soak
.DELETE_ON_ERROR:
-include $(shell [ -d $(B)/obj ] && find $(B)/obj -name '*.d')
