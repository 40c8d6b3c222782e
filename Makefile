# lossd: build, run, test. `make help` lists the targets.
#
# Everything is built below $(BUILD); a variant (sanitizers, debug) is a build folder of its own, chosen with MODE.

MODE    ?= release
PREFIX  ?= /usr/local
DESTDIR ?=
ONLY    ?=
# V=1 shows the commands themselves.
V       ?=
Q       := $(if $(V),,@)
say      = $(if $(V),,@echo '  $(1)')
VERSION := $(shell sed -n 's/^\#define LOSS_VERSION "\(.*\)"/\1/p' core/loss.h)
SOVERSION := 0

ifeq ($(origin CC),default)
CC := gcc
endif
AR     ?= ar
CFLAGS ?= -O2 -g
# Warnings are errors here; a packager with another compiler sets WERROR= .
WERROR ?= -Werror
WARN   := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
          -Wcast-qual -Wwrite-strings -Wformat=2 -Wvla -Wundef $(WERROR)

BUILD_release := build
BUILD_debug   := build/debug
BUILD_asan    := build/asan
BUILD_tsan    := build/tsan
BUILD_coverage := build/coverage
BUILD         := $(or $(BUILD_$(MODE)),$(error there is no MODE '$(MODE)': release, debug, asan, tsan and coverage are))
FLAGS_debug   := -O0 -g3
FLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAGS_tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
# Counters are of source lines and branches, hence not optimised; atomic, since many threads count. A function that is always
# inlined would have its branches counted once for each caller, with those that a caller's constants rule out: it is called here.
FLAGS_coverage := -O0 -g --coverage -fprofile-update=atomic -Dalways_inline=unused -DCOVERAGE

# Bits must not depend on the machine: no contraction to fused multiply-add, no reassociation.
ALL_CFLAGS  = -std=c17 -D_GNU_SOURCE -fopenmp -fPIC -fvisibility=hidden -ffp-contract=off $(WARN) $(CFLAGS) $(FLAGS_$(MODE)) $(CPPFLAGS)
ALL_LDFLAGS = -fopenmp $(FLAGS_$(MODE)) $(LDFLAGS)

# The engine and the losses are built for each of these instruction sets, and the best that the machine has is chosen at start.
# Each becomes one object that shows a single name to the outside, so that neither losses nor engine know of it.
KERNEL_SOURCES := core/dispatch/kernel_table.c $(wildcard core/engine/*.c core/kernel/*.c core/losses/*.c)
ifeq ($(shell uname -m),x86_64)
ISAS           := x86_64 x86_64_v2 x86_64_v3 x86_64_v4
ISAS_asan      := x86_64 x86_64_v3
ISAS_tsan      := $(ISAS_asan)
ISAS_debug     := $(ISAS_asan)
ISAS_coverage  := $(ISAS_asan)
else
ISAS           := portable
endif
ISAS           := $(or $(ISAS_$(MODE)),$(ISAS))
MARCH_x86_64    := -march=x86-64 -O2 -fno-tree-vectorize
MARCH_x86_64_v2 := -march=x86-64-v2
MARCH_x86_64_v3 := -march=x86-64-v3
MARCH_x86_64_v4 := -march=x86-64-v4 -mprefer-vector-width=512
MARCH_x86_64_v4_vbmi2 := -march=x86-64-v4 -mavx512vbmi -mavx512vbmi2
# Loops are vectorised. That needs comparisons and square roots to be free of side effects, which changes no result, and choices
# that parameters make to be taken out of the loops, however long these are.
KERNEL_CFLAGS  := -O3 -fno-math-errno -fno-trapping-math -fno-signaling-nans --param=max-unswitch-insns=500
# A debugger steps through the source, and counted branches are those of the source: not vectorised, unrolled or merged.
OPTIMISE_debug    := -O0
OPTIMISE_coverage := -O0

# Every folder holds one subject; ARCHITECTURE.md lists them, and which of them each may include.
SOURCES_OF = $(wildcard $(1)/*.c $(1)/*/*.c)
CORE   := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(KERNEL_SOURCES),$(call SOURCES_OF,core))) $(patsubst %,$(BUILD)/core/kernels_%.o,$(ISAS))
PROTO  := $(patsubst %.c,$(BUILD)/%.o,$(call SOURCES_OF,proto))
SERVER := $(patsubst %.c,$(BUILD)/%.o,$(call SOURCES_OF,server))
CTL    := $(patsubst %.c,$(BUILD)/%.o,$(call SOURCES_OF,clients/lossctl))
TESTS  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/*.c tests/unit/*/*.c tests/http/*/*.c tests/golden/*.c tests/support/*.c))
MAIN   := $(BUILD)/server/main.o
ASSETS := $(BUILD)/web/assets.o
# Servers that are killed write their counters first. The tests themselves are not counted.
DUMP_coverage   := $(BUILD)/tests/coverage/dump.o
LDDUMP_coverage := -Wl,--wrap=_exit
$(TESTS): FLAGS_coverage := -O0 -g -DCOVERAGE

# Each layer sees the headers of itself and of those below it, and no others: the compiler keeps the arrows pointing down.
$(CORE):   INCLUDES := -Icore
$(BUILD)/core/dispatch/cpu_dispatch.o: INCLUDES += $(patsubst %,-DHAS_%,$(ISAS))
$(PROTO):  INCLUDES := -Icore -Iproto
# The ways of reading and writing numbers for newer machines; proto/number/number_bulk.c chooses. Elsewhere these files are empty.
MARCH :=
ifeq ($(shell uname -m),x86_64)
%/proto/number/number_bulk_avx2.o:   MARCH := $(MARCH_x86_64_v3)
%/proto/number/number_bulk_avx512.o: MARCH := $(MARCH_x86_64_v4_vbmi2)
endif
$(SERVER) $(ASSETS): INCLUDES := -Icore -Iproto -Iserver
$(CTL):    INCLUDES := -Icore -Iproto -Iclients/lossctl
$(TESTS):  INCLUDES := -Icore -Iproto -Iserver -Itests
# Its test asks the compiler what these let it use.
$(BUILD)/tests/http/operations/test_cpu_dispatch.o: INCLUDES += -DCOMPILER='"$(CC)"' -DMARCH_BASE='"$(filter -m%,$(MARCH_x86_64))"' -DMARCH_V2='"$(filter -m%,$(MARCH_x86_64_v2))"' \
    -DMARCH_V3='"$(filter -m%,$(MARCH_x86_64_v3))"' -DMARCH_V4='"$(filter -m%,$(MARCH_x86_64_v4))"' -DMARCH_V4_VBMI2='"$(filter -m%,$(MARCH_x86_64_v4_vbmi2))"'

.PHONY: docs generate all no-lossctl lib deps test-deps run test check-clients check-web python-wheel check-sanitize check-faults coverage mutants fuzz soak check-slow check-drain check-memory check-sizes check-cost check-numbers bench bench-quick bench-deps install install-lossctl install-lib uninstall clean help format tidy bench-smoke test-quick check-targets check-mathematics
.DEFAULT_GOAL := all

# lossctl alone needs libcurl, which whoever wants the server need not have.
HAVE_CURL := $(shell $(CC) $(CPPFLAGS) -E -include curl/curl.h -x c /dev/null >/dev/null 2>&1 && echo yes)

all: $(BUILD)/lossd lib $(if $(HAVE_CURL),$(BUILD)/lossctl,no-lossctl) ## build the server (build/lossd), lossctl where libcurl is, and the library (build/libloss.a, .so)

no-lossctl:
	@echo '  lossctl is not built: there are no headers of libcurl (Debian: libcurl4-openssl-dev)'

lib: $(BUILD)/libloss.a $(BUILD)/libloss.so.$(SOVERSION) ## build the library alone

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC $@)
	$(Q)$(CC) $(ALL_CFLAGS) $(MARCH) $(INCLUDES) -MMD -MP -c -o $@ $<

define KERNELS
$(BUILD)/kernels/$(1)/%.o: %.c Makefile
	@mkdir -p $$(@D)
	$$(call say,CC $$@)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(KERNEL_CFLAGS) $$(MARCH_$(1)) $$(OPTIMISE_$$(MODE)) -DISA=$(1) -Icore -MMD -MP -c -o $$@ $$<

$(BUILD)/core/kernels_$(1).o: $(patsubst %.c,$(BUILD)/kernels/$(1)/%.o,$(KERNEL_SOURCES))
	@mkdir -p $$(@D)
	$$(call say,LD $$@)
	$$(Q)$$(LD) -r -o $$@ $$^ && objcopy --keep-global-symbol=loss_kernels_$(1) $$@

-include $(patsubst %.c,$(BUILD)/kernels/$(1)/%.d,$(KERNEL_SOURCES))
endef
$(foreach isa,$(ISAS),$(eval $(call KERNELS,$(isa))))

$(BUILD)/libloss.a: $(CORE)
	@rm -f $@
	$(call say,AR $@)
	$(Q)$(AR) rcs $@ $^

$(BUILD)/libloss.so.$(SOVERSION): $(CORE)
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -Wl,-soname,libloss.so.$(SOVERSION) -Wl,-z,defs -o $@ $^ -lm

# Holds it, by the assembler.
$(BUILD)/proto/openapi/openapi.o: proto/openapi/openapi_base.json

# What browsers load: every file of web/, in a table. The folder itself is newer where a file has come or gone.
$(BUILD)/web/assets.c: server/routes/embed.sh web $(wildcard web/*)
	@mkdir -p $(@D)
	$(call say,EMBED $@)
	$(Q)server/routes/embed.sh web > $@.new && mv $@.new $@

$(ASSETS): $(BUILD)/web/assets.c Makefile
	$(call say,CC $@)
	$(Q)$(CC) $(ALL_CFLAGS) $(INCLUDES) -MMD -MP -c -o $@ $<

$(BUILD)/lossctl: $(CTL) $(PROTO) $(BUILD)/libloss.a
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcurl -ljansson -lz -lzstd -lm -pthread

$(BUILD)/lossd: $(SERVER) $(ASSETS) $(PROTO) $(DUMP_$(MODE)) $(BUILD)/libloss.a
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(LDDUMP_$(MODE)) -o $@ $^ -lmicrohttpd -lgnutls -lseccomp -ljansson -lz -lzstd -lm -pthread

# Calls that tests/support/counted_malloc.c counts.
COUNTED := -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc
$(BUILD)/tests/lossd-tests: $(TESTS) $(filter-out $(MAIN),$(SERVER)) $(ASSETS) $(PROTO) $(BUILD)/libloss.a
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(COUNTED) -o $@ $^ -lmicrohttpd -lgnutls -lseccomp -ljansson -lz -lzstd -lcheck_pic -lsubunit -lrt -lm -pthread

# What the server is started with where calls are to fail. Not sanitized: it comes before the sanitizers, too.
$(BUILD)/tests/lossd-tests: | $(BUILD)/tests/faults.so
$(BUILD)/tests/faults.so: tests/faults/faults.c tests/faults/faults.h
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) -std=c17 -D_GNU_SOURCE -fPIC -shared -fvisibility=hidden -fno-builtin $(WARN) $(CFLAGS) -o $@ $<

deps: ## install the Debian packages that building needs, naming them
	@deploy/install-deps.sh

test-deps: ## install what the tests need besides
	@deploy/install-deps.sh tests

run: deps ## build, serve, evaluate the real batches, print a table, go on serving until Ctrl-C (ONCE=1: stop after the table)
	@$(MAKE) --no-print-directory all
	@deploy/run-demo.sh $(BUILD)/lossd $(if $(ONCE),--once)

test: test-deps ## build and run every test (ONLY=name: just the test cases whose name holds it)
	@$(MAKE) --no-print-directory all $(BUILD)/tests/lossd-tests
	@LOSSD=$(BUILD)/lossd ONLY='$(ONLY)' $(BUILD)/tests/lossd-tests

# Which test cases are slow is said where they are made, in tests/: tcase_set_tags(tcase, TAG_SLOW).
test-quick: test-deps ## the same without what is tagged as slow: the page in Chromium, clients, documents, faults, deadlines
	@$(MAKE) --no-print-directory all $(BUILD)/tests/lossd-tests
	@CK_EXCLUDE_TAGS=slow LOSSD=$(BUILD)/lossd ONLY='$(ONLY)' $(BUILD)/tests/lossd-tests

check-targets: ## run every target and every command of the documents, those too that take minutes or fetch packages
	@$(MAKE) --no-print-directory all $(BUILD)/tests/lossd-tests
	@/usr/bin/python3 -B tests/docs/commands.py --all

check-clients: ## run the examples of tests/clients in every language and the tests of clients/js, clients/python and tests/openapi, installing what is missing
	@deploy/install-deps.sh clients
	@LOSSD_CLIENTS=all $(MAKE) --no-print-directory test ONLY=clients
	@LOSSD_CLIENTS=all $(MAKE) --no-print-directory test ONLY=js
	@LOSSD_CLIENTS=all $(MAKE) --no-print-directory test ONLY=openapi_validator
	@LOSSD_CLIENTS=all $(MAKE) --no-print-directory test ONLY=python

# The tests of both say when this is to be run.
generate: $(BUILD)/lossd ## write what the clients for Python and JavaScript know of each loss anew, from the losses that there are (needs python3 and nodejs)
	@clients/generate.sh $(BUILD)/lossd

# setuptools leaves files beside the sources that it builds from: a copy.
docs: deps ## make the documentation, a page for each loss with its curves, into build/docs/site, and check its links
	@deploy/install-deps.sh docs
	@$(MAKE) --no-print-directory $(BUILD)/lossd
	@/usr/bin/python3 -B docs/site/build.py $(BUILD)/lossd

python-wheel: ## build the Python client into build/python, a wheel for pip install (needs python3-pip, -setuptools and -wheel)
	@rm -rf build/python/source
	@mkdir -p build/python/source
	@cp -r clients/python/pyproject.toml clients/python/README.md clients/python/src LICENSE build/python/source
	@/usr/bin/python3 -m pip --quiet wheel --no-build-isolation --no-deps --no-index --wheel-dir build/python build/python/source
	@ls build/python/lossd-$(VERSION)-*.whl

# FAULTS=sample lets as many fail as make test does.
check-faults: test-deps ## let every single call of every request fail that can: memory, threads, sockets (make test takes a sample)
	@FAULTS=$(or $(FAULTS),all) $(MAKE) --no-print-directory test ONLY=$(or $(ONLY),faults)

check-web: ## test the page in Chromium, installing that
	@deploy/install-deps.sh web
	@LOSSD_WEB=all $(MAKE) --no-print-directory test ONLY=web

check-sanitize: test-deps ## run every test under address+undefined and under thread sanitizers
	@CK_TIMEOUT_MULTIPLIER=20 $(MAKE) --no-print-directory test MODE=asan
	@CK_TIMEOUT_MULTIPLIER=20 $(MAKE) --no-print-directory test MODE=tsan

# The least percentage of lines and of branches that tests must reach in each of core/, proto/ and server/.
COVERAGE_LINES    ?= 95
COVERAGE_BRANCHES ?= 85
coverage: ## count which lines and branches the tests reach (ONLY=name: those of that name); a table, and build/coverage/html
	@deploy/install-deps.sh coverage
	@$(MAKE) --no-print-directory MODE=coverage all build/coverage/tests/lossd-tests
	@LOSSD=build/coverage/lossd ONLY='$(ONLY)' CK_TIMEOUT_MULTIPLIER=20 tests/coverage/run.py build/coverage \
	    --lines $(COVERAGE_LINES) --branches $(COVERAGE_BRANCHES)

mutants: test-deps ## make one mistake at a time in a copy of core/ and server/, and check that the tests notice it (ONLY=word: those with the word in name or file)
	@tests/mutants/run.py build $(if $(ONLY),'$(ONLY)')

# Everything but main is compiled once, for all targets.
FUZZ_SECONDS ?= 60
FUZZ         := build/fuzz
FUZZ_CFLAGS  := -std=c17 -D_GNU_SOURCE -O1 -g -fopenmp -fno-sanitize-recover=all -ffp-contract=off -Icore -Iproto -Iserver
FUZZ_CHECKS  := address,undefined
FUZZ_TARGETS ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/*.c))
FUZZ_OBJECTS := $(patsubst %.c,$(FUZZ)/objects/%.o,$(foreach layer,core proto server,$(filter-out server/main.c,$(call SOURCES_OF,$(layer))))) \
                $(FUZZ)/objects/assets.o

fuzz: $(patsubst %,$(FUZZ)/%,$(FUZZ_TARGETS)) ## run each fuzz target (FUZZ_TARGETS) for FUZZ_SECONDS (needs clang, libclang-rt-14-dev, libomp-14-dev); what it finds is left in build/fuzz
	@for target in $(FUZZ_TARGETS); do \
	    mkdir -p $(FUZZ)/corpus-$$target && \
	    $(FUZZ)/$$target -max_total_time=$(FUZZ_SECONDS) -timeout=30 -max_len=4096 -artifact_prefix=$(FUZZ)/ \
	        $(FUZZ)/corpus-$$target tests/fuzz/corpus/$$target || exit 1; \
	done

$(FUZZ)/%: tests/fuzz/fuzz_%.c $(FUZZ_OBJECTS)
	$(call say,LD $@)
	$(Q)clang $(FUZZ_CFLAGS) -fsanitize=fuzzer,$(FUZZ_CHECKS) -o $@ $^ -lmicrohttpd -lgnutls -lseccomp -ljansson -lz -lzstd -lm

$(FUZZ)/objects/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC $@)
	$(Q)clang $(FUZZ_CFLAGS) $(MARCH) -fsanitize=fuzzer-no-link,$(FUZZ_CHECKS) -MMD -MP -c -o $@ $<

$(FUZZ)/objects/assets.o: $(BUILD)/web/assets.c Makefile
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_CFLAGS) -c -o $@ $<

.SECONDARY: $(FUZZ_OBJECTS)
-include $(FUZZ_OBJECTS:.o=.d)

# Load on a real server, minutes of it: each prints its figures, and fails where they are not what they have to be.
LOAD         := LOSSD=$(BUILD)/lossd /usr/bin/python3 -B tests/long/load
SOAK_SECONDS ?= 1200
SOAK_BURSTS  ?= 6
SLOW_SECONDS ?= 60
SLOW_IDLE    ?= 10000
DRAIN_COUNT  ?= 50
MEMORY_MIB   ?= 256
SIZES_MIB    ?= 4096
soak check-slow check-drain check-memory check-sizes: $(BUILD)/lossd

soak: ## mixed good, bad, slow and aborted requests for SOAK_SECONDS: nothing undeserved, nothing leaked
	@$(LOAD)/soak.py $(SOAK_SECONDS) $(SOAK_BURSTS)

check-slow: ## SLOW_IDLE idle and a tenth as many dripping connections for SLOW_SECONDS: others do not notice, drips are cut in time
	@$(LOAD)/slow.py $(SLOW_SECONDS) $(SLOW_IDLE)

check-drain: ## DRAIN_COUNT SIGTERMs under 32 clients: no request fails
	@$(LOAD)/drain.py $(DRAIN_COUNT)

check-memory: ## 64 clients of MEMORY_MIB each under a --max-memory of 8 times that: the server stays within it
	@$(LOAD)/memory.py $(MEMORY_MIB)

check-sizes: ## bodies of up to SIZES_MIB around every limit (4 GiB: some 10 GiB of memory)
	@$(LOAD)/sizes.py $(SIZES_MIB)

MATHEMATICS_STRIDE ?= 1
NUMBERS_STRIDE     ?= 1

check-mathematics: $(BUILD)/tests/mathematics-exhaustive ## measure exp, log and log1p over every MATHEMATICS_STRIDE-th float32 (all: minutes)
	@$(BUILD)/tests/mathematics-exhaustive $(MATHEMATICS_STRIDE)

$(BUILD)/tests/mathematics-exhaustive: tests/long/mathematics_exhaustive.c core/kernel/vector_math.h
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_CFLAGS) -Icore -o $@ $< -lm

check-cost: test-deps ## measure what every loss costs in many shapes, and compare with what its plans say (loss_plan.work)
	@LOSSD_COSTS=all $(MAKE) --no-print-directory test ONLY=costs

check-numbers: $(BUILD)/tests/number-exhaustive ## print every NUMBERS_STRIDE-th float32 and read it back (all: minutes)
	@$(BUILD)/tests/number-exhaustive $(NUMBERS_STRIDE)

$(BUILD)/tests/number-exhaustive: tests/long/number_exhaustive.c $(PROTO) $(BUILD)/libloss.a
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_CFLAGS) -Iproto -o $@ $(filter %.c $(BUILD)/proto/number/% %.a,$^) -lm

# The drivers of bench/run.py. Peers that are header files are found when the driver is compiled: the stamp's name holds which
# there were, so that it is compiled again once there are more. Where nothing can be built for want of g++, run.py says so.
BENCH       := $(BUILD)/bench
HAVE_CXX    := $(shell command -v $(CXX))
HAVE_HEADER  = $(wildcard /usr/include/$(1))
TEXT_PEERS  := $(notdir $(call HAVE_HEADER,simdjson.h) $(call HAVE_HEADER,fast_float/fast_float.h) \
                        $(call HAVE_HEADER,double-conversion/double-conversion.h))
TEXT_LIBS   := $(if $(filter simdjson.h,$(TEXT_PEERS)),-lsimdjson) $(if $(filter double-conversion.h,$(TEXT_PEERS)),-ldouble-conversion)
TEXT_STAMP  := $(BENCH)/text-with$(subst .h,,$(addprefix -,$(TEXT_PEERS)))
TEXT_STAMP  := $(subst $() ,,$(TEXT_STAMP))
DRIVERS     := $(BENCH)/core $(BENCH)/load $(BENCH)/bare $(if $(HAVE_CXX),$(BENCH)/text)
# For the yardsticks and the peers: the best that they can be on the machine at hand. Our own code is built as it is shipped.
PEER_FLAGS  := -O3 -march=native

bench bench-quick bench-smoke: $(BUILD)/lossd $(DRIVERS)
bench: ## compare with PyTorch, simdjson, FastAPI, nginx and others (minutes); a table, and build/bench.json (ONLY=core,text,http,binary,several)
	@/usr/bin/python3 -B bench/run.py --build $(BUILD) --only '$(ONLY)'

bench-quick: ## the same with fewer repetitions and smaller batches (under a minute)
	@/usr/bin/python3 -B bench/run.py --build $(BUILD) --only '$(ONLY)' --quick

bench-smoke: ## build and run all of it on tiny batches (seconds): shows that it works; peers that are not installed are skipped
	@/usr/bin/python3 -B bench/run.py --build $(BUILD) --only '$(ONLY)' --smoke

bench-deps: deps ## install the Debian packages that bench compares with, naming them
	@bench/install-deps.sh

$(BENCH)/core: bench/core.c $(BENCH)/triad.o $(BUILD)/libloss.a bench/driver.h bench/triad.h
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_CFLAGS) -Icore -o $@ $(filter %.c %.o %.a,$^) -lm

$(BENCH)/triad.o: bench/triad.c bench/triad.h
	@mkdir -p $(@D)
	$(call say,CC $@)
	$(Q)$(CC) -std=c17 -fopenmp $(WARN) $(PEER_FLAGS) -c -o $@ $<

$(BENCH)/load: bench/load.c bench/driver.h
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $<

$(BENCH)/bare: bench/bare.c
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< -lmicrohttpd

$(BENCH)/text: bench/text.cc bench/driver.h $(PROTO) $(BUILD)/libloss.a $(TEXT_STAMP)
	$(call say,LD $@)
	$(Q)$(CXX) -std=c++17 -fopenmp -Wall -Wextra $(PEER_FLAGS) -Icore -Iproto -o $@ $(filter %.cc %.o %.a,$^) $(TEXT_LIBS) -ljansson -lz -lzstd -lm

$(TEXT_STAMP):
	@mkdir -p $(@D)
	@rm -f $(BENCH)/text-with*
	@touch $@

install: all install-lib ## install server, lossctl, manual pages, systemd units, library, header and pkg-config file below PREFIX (default /usr/local)
	install -D -m 755 $(BUILD)/lossd $(DESTDIR)$(PREFIX)/bin/lossd
	install -d $(DESTDIR)$(PREFIX)/share/man/man8
	$(BUILD)/lossd --man > $(DESTDIR)$(PREFIX)/share/man/man8/lossd.8
	$(if $(HAVE_CURL),$(MAKE) --no-print-directory install-lossctl)
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/local/|$(PREFIX)/|' deploy/lossd.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/lossd.service
	install -m 644 deploy/lossd.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/lossd.socket
	test -e $(DESTDIR)/etc/lossd.conf || install -D -m 644 deploy/lossd.conf $(DESTDIR)/etc/lossd.conf

COMPLETIONS := bash-completion/completions/lossctl zsh/site-functions/_lossctl fish/vendor_completions.d/lossctl.fish

# lossctl writes its manual page and its completions itself.
install-lossctl: $(BUILD)/lossctl ## install lossctl alone, with its manual page and completions for bash, zsh and fish
	install -D -m 755 $(BUILD)/lossctl $(DESTDIR)$(PREFIX)/bin/lossctl
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,man/man1 $(dir $(COMPLETIONS)))
	$(BUILD)/lossctl --man > $(DESTDIR)$(PREFIX)/share/man/man1/lossctl.1
	$(foreach file,$(COMPLETIONS),$(BUILD)/lossctl completions $(firstword $(subst -, ,$(subst /, ,$(file)))) > $(DESTDIR)$(PREFIX)/share/$(file) &&) true

install-lib: lib ## install the library alone, with header and pkg-config file: it needs neither libmicrohttpd nor jansson
	install -D -m 644 core/loss.h $(DESTDIR)$(PREFIX)/include/loss.h
	install -D -m 644 $(BUILD)/libloss.a $(DESTDIR)$(PREFIX)/lib/libloss.a
	install -D -m 755 $(BUILD)/libloss.so.$(SOVERSION) $(DESTDIR)$(PREFIX)/lib/libloss.so.$(SOVERSION)
	ln -sf libloss.so.$(SOVERSION) $(DESTDIR)$(PREFIX)/lib/libloss.so
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' core/libloss.pc.in > $(DESTDIR)$(PREFIX)/lib/pkgconfig/libloss.pc
	$(if $(DESTDIR),,-ldconfig)

uninstall: ## remove what install put there
	cd $(DESTDIR)$(PREFIX) && rm -f bin/lossd bin/lossctl share/man/man1/lossctl.1 share/man/man8/lossd.8 $(addprefix share/,$(COMPLETIONS)) include/loss.h lib/libloss.a lib/libloss.so lib/libloss.so.$(SOVERSION) lib/pkgconfig/libloss.pc lib/systemd/system/lossd.service lib/systemd/system/lossd.socket

format: ## lay out the sources with clang-format
	git ls-files '*.c' '*.h' '*.cc' | xargs clang-format -i

TIDY_FILES ?= $(foreach layer,core proto server clients/lossctl,$(call SOURCES_OF,$(layer)))
tidy: ## look for mistakes with clang-tidy (TIDY_FILES: minutes for all)
	clang-tidy --quiet $(TIDY_FILES) -- -std=c17 -D_GNU_SOURCE -fopenmp -Icore -Iproto -Iserver -Iclients/lossctl

clean: ## remove everything that was built
	rm -rf build

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do printf '  %-16s %s\n' "$$name" "$$text"; done

-include $(filter-out $(BUILD)/core/kernels_%,$(CORE:.o=.d)) $(PROTO:.o=.d) $(SERVER:.o=.d) $(CTL:.o=.d) $(ASSETS:.o=.d) $(TESTS:.o=.d)
