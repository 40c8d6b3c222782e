# Builds, runs and tests lossd. `make help` lists the targets.
#
# MODE chooses the variant: release, debug, asan, tsan, coverage or arm64. Each has its own build
# folder.

MODE    ?= release
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
UNITDIR ?= $(PREFIX)/lib/systemd/system
ZSHDIR  ?= $(PREFIX)/share/zsh/site-functions
DESTDIR ?=
ONLY    ?=
# V=1 prints the commands.
V       ?=
Q       := $(if $(V),,@)
say      = $(if $(V),,@echo '  $(1)')
VERSION := $(shell sed -n 's/^\#define LOSS_VERSION "\(.*\)"/\1/p' core/loss.h)
SOVERSION := 0

# Build with one job per CPU unless -j is given. A sub-make shares the jobs of its parent.
# Goals such as `clean` or `test` must not run in parallel, so several of them run in sequence.
ifeq ($(MAKELEVEL),0)
ifeq ($(word 2,$(MAKECMDGOALS)),)
MAKEFLAGS += -j$(shell nproc)
else ifeq ($(filter-out all lib build/%,$(MAKECMDGOALS)),)
MAKEFLAGS += -j$(shell nproc)
endif
endif

ifeq ($(origin CC),default)
CC := gcc
endif
AR      ?= ar
OBJCOPY ?= objcopy
ARCH    := $(shell uname -m)
# Cross-compiles the library, with Debian's compiler.
ifeq ($(MODE),arm64)
CC      := aarch64-linux-gnu-gcc
LD      := aarch64-linux-gnu-ld
OBJCOPY := aarch64-linux-gnu-objcopy
ARCH    := aarch64
endif
CFLAGS ?= -O2 -g
# Warnings are errors. Packagers that use another compiler set WERROR= (empty).
WERROR ?= -Werror
WARN   := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
          -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wvla \
          -Wundef $(WERROR)

BUILD_release := build
BUILD_debug   := build/debug
BUILD_asan    := build/asan
BUILD_tsan    := build/tsan
BUILD_coverage := build/coverage
BUILD_arm64   := build/arm64
MODES         := release, debug, asan, tsan, coverage or arm64
BUILD         := $(or $(BUILD_$(MODE)),$(error unknown MODE '$(MODE)'; use $(MODES)))
FLAGS_debug   := -O0 -g3
FLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
                 -fno-omit-frame-pointer
FLAGS_tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
# No optimization, because counters are for source lines and branches. Atomic counters, because
# several threads count.
# Functions that are always inlined are called instead; otherwise their branches would be counted
# once per caller, including those that the caller's constants exclude.
FLAGS_coverage := -O0 -g --coverage -fprofile-update=atomic -Dalways_inline=unused -DCOVERAGE

# Results must not depend on the machine: no contraction to fused multiply-add, no reassociation.
ALL_CFLAGS  = -std=c17 -D_GNU_SOURCE -fopenmp -fPIC -fvisibility=hidden -ffp-contract=off \
              $(WARN) $(CFLAGS) $(FLAGS_$(MODE)) $(CPPFLAGS)
ALL_LDFLAGS = -fopenmp $(FLAGS_$(MODE)) $(LDFLAGS)

# The engine and the losses are built once per instruction set, in ascending order. The program
# chooses the best one that the CPU supports. Each set is one object with a single global symbol,
# so that neither the losses nor the engine depend on it.
KERNEL_SOURCES := core/dispatch/kernel_table.c \
                  $(wildcard core/engine/*.c core/kernel/*.c core/losses/*.c)
ifeq ($(ARCH),x86_64)
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
# To vectorize loops, the compiler must know that comparisons and square roots have no side effects
# (no result changes), and must move conditions on parameters out of loops of any length.
KERNEL_CFLAGS  := -O3 -fno-math-errno -fno-trapping-math -fno-signaling-nans \
                  --param=max-unswitch-insns=500
# Debuggers and coverage need code that follows the source: not vectorized, unrolled or merged.
OPTIMIZE_debug    := -O0
OPTIMIZE_coverage := -O0

# ARCHITECTURE.md lists the folders, tests/docs/layers.txt which others each may include.
SOURCES_OF = $(wildcard $(1)/*.c $(1)/*/*.c)
CORE   := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(KERNEL_SOURCES),$(call SOURCES_OF,core))) \
          $(patsubst %,$(BUILD)/core/kernels_%.o,$(ISAS))
PROTO  := $(patsubst %.c,$(BUILD)/%.o,$(call SOURCES_OF,proto))
SERVER := $(patsubst %.c,$(BUILD)/%.o,$(call SOURCES_OF,server))
MPI_MODULE_SOURCE := clients/lossctl/mpi/mpi_module.c
CTL    := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(MPI_MODULE_SOURCE), \
                                        $(call SOURCES_OF,clients/lossctl)))
TESTS  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/*.c tests/unit/*/*.c tests/http/*/*.c \
                                                tests/golden/*.c tests/support/*.c))
NATIVE := $(patsubst %.c,$(BUILD)/%.o,$(wildcard clients/python/native/*.c))
MAIN   := $(BUILD)/server/main.o
ASSETS := $(BUILD)/web/assets.o
# Servers that tests kill write their counters first. The tests themselves are not counted.
DUMP_coverage   := $(BUILD)/tests/coverage/dump.o
LDDUMP_coverage := -Wl,--wrap=_exit
$(TESTS): FLAGS_coverage := -O0 -g -DCOVERAGE

# Each layer sees only its own headers and those of the layers below it.
$(CORE):   INCLUDES := -Icore
$(BUILD)/core/dispatch/cpu_dispatch.o: INCLUDES += -DKERNEL_ISAS='$(patsubst %,KERNELS(%),$(ISAS))'
$(PROTO):  INCLUDES := -Icore -Iproto
# Number readers and writers for newer CPUs. The number code chooses one at run time. On other
# architectures these files are empty.
MARCH :=
ifeq ($(ARCH),x86_64)
%/proto/number/number_bulk_avx2.o:   MARCH := $(MARCH_x86_64_v3)
%/proto/number/number_bulk_avx512.o: MARCH := $(MARCH_x86_64_v4_vbmi2)
endif
$(SERVER) $(ASSETS): INCLUDES := -Icore -Iproto -Iserver
$(CTL):    INCLUDES := -Icore -Iproto -Iclients/lossctl
$(NATIVE): INCLUDES := -Icore -Iproto -Iclients/python/native
$(TESTS):  INCLUDES := -Icore -Iproto -Iserver -Iclients/python/native -Itests
# The test asks the compiler which features these flags allow.
MARCH_TEXT = '"$(filter -m%,$(MARCH_$(1)))"'
$(BUILD)/tests/http/operations/test_cpu_dispatch.o: INCLUDES += -DCOMPILER='"$(CC)"' \
    -DMARCH_BASE=$(call MARCH_TEXT,x86_64) -DMARCH_V2=$(call MARCH_TEXT,x86_64_v2) \
    -DMARCH_V3=$(call MARCH_TEXT,x86_64_v3) -DMARCH_V4=$(call MARCH_TEXT,x86_64_v4) \
    -DMARCH_V4_VBMI2=$(call MARCH_TEXT,x86_64_v4_vbmi2)

.PHONY: all lib deps test-deps run test test-quick check-targets check-clients generate docs \
        python-wheel dist deb check-deb check-faults check-arm64 check-slurm check-web \
        check-sanitize coverage mutants fuzz soak check-slow check-drain check-memory check-sizes \
        check-mathematics check-accuracy check-cost check-numbers check-sums bench bench-quick \
        bench-smoke bench-scale bench-chart bench-deps install install-lossctl install-lib \
        uninstall check format tidy clean help no-lossctl check-format check-tidy check-docs \
        check-spelling mpi
.DEFAULT_GOAL := all
# Programs that run make themselves must not see the job server of this one.
ALONE := unset MAKEFLAGS MFLAGS;

# Only lossctl needs libcurl. Without its headers everything else is built.
HAVE_CURL := $(shell $(CC) $(CPPFLAGS) -E -include curl/curl.h -x c /dev/null >/dev/null 2>&1 && \
                     echo yes)

# The modules of lossctl for MPI, one for each implementation whose compiler is installed. The
# compiler of Open MPI understands --showme:version, that of MPICH names itself with -v. The thread
# sanitizer reports races in the libraries, which it does not know.
MPI_COMPILERS := $(if $(filter tsan arm64,$(MODE)),,$(shell \
    for cc in mpicc.openmpi mpicc.mpich mpicc; do \
        $$cc --showme:version 2>&1 | grep -q 'Open MPI' && echo openmpi=$$cc; \
        $$cc -v 2>&1 | grep -q '^mpicc for MPICH' && echo mpich=$$cc; \
    done))
LOCAL := $(if $(filter asan tsan arm64,$(MODE)),,$(BUILD)/lossd-local.so)
MPI_CC_OF   = $(patsubst $(1)=%,%,$(firstword $(filter $(1)=%,$(MPI_COMPILERS))))
MPI_MODULES := $(foreach mpi,openmpi mpich, \
                         $(if $(call MPI_CC_OF,$(mpi)),$(BUILD)/lossctl-$(mpi).so))

all: $(BUILD)/lossd lib $(if $(HAVE_CURL),$(BUILD)/lossctl $(MPI_MODULES),no-lossctl) $(LOCAL)
all: ## build the server (build/lossd), lossctl, its modules for MPI, and the libraries

no-lossctl:
	@echo '  lossctl is not built: the headers of libcurl are not installed' \
	    '(Debian: libcurl4-openssl-dev)'

mpi: $(MPI_MODULES) ## build only the modules of lossctl for the implementations of MPI
	$(if $(MPI_MODULES),,@echo '  no MPI is installed (Debian: libopenmpi-dev or libmpich-dev)' >&2; \
	    exit 1)

lib: $(BUILD)/libloss.a $(BUILD)/libloss.so.$(SOVERSION)
lib: ## build only the library (build/libloss.a, build/libloss.so.0)

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC $@)
	$(Q)$(CC) $(ALL_CFLAGS) $(MARCH) $(INCLUDES) -MMD -MP -c -o $@ $<

define KERNELS
$(BUILD)/kernels/$(1)/%.o: %.c Makefile
	@mkdir -p $$(@D)
	$$(call say,CC $$@)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(KERNEL_CFLAGS) $$(MARCH_$(1)) $$(OPTIMIZE_$$(MODE)) \
	    -DISA=$(1) -Icore -MMD -MP -c -o $$@ $$<

$(BUILD)/core/kernels_$(1).o: $(patsubst %.c,$(BUILD)/kernels/$(1)/%.o,$(KERNEL_SOURCES))
	@mkdir -p $$(@D)
	$$(call say,LD $$@)
	$$(Q)$$(LD) -r -o $$@ $$^ && $$(OBJCOPY) --keep-global-symbol=loss_kernels_$(1) $$@

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

# The library of the Python package needs only the C library: jansson is linked statically if
# possible, and clients/python/native/parallel.c replaces OpenMP.
$(BUILD)/libproto.a: $(PROTO)
	@rm -f $@
	$(call say,AR $@)
	$(Q)$(AR) rcs $@ $^

LIBJANSSON ?= $(or $(filter /%,$(shell $(CC) -print-file-name=libjansson.a)),-ljansson)
$(BUILD)/lossd-local.so: $(NATIVE) $(BUILD)/libproto.a $(BUILD)/libloss.a
	$(call say,LD $@)
	$(Q)$(CC) $(FLAGS_$(MODE)) $(LDFLAGS) -shared -Wl,-z,defs -Wl,--exclude-libs,ALL \
	    -Wl,--gc-sections -o $@ $^ \
	    $(LIBJANSSON) -lm -pthread

# The assembler includes these files.
$(BUILD)/proto/openapi/openapi.o: proto/openapi/openapi_base.json
$(BUILD)/clients/lossctl/bench/report_html.o: web/tokens.css web/icon.svg \
                                              clients/lossctl/bench/report.css

# Embeds every file of web/. The folder is a prerequisite because its time changes when a file is
# added or removed.
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

# The wrapper compilers run $(CC).
$(BUILD)/lossctl-%.so: $(MPI_MODULE_SOURCE) clients/lossctl/mpi/mpi_module.h core/loss.h Makefile
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)OMPI_CC='$(CC)' MPICH_CC='$(CC)' $(call MPI_CC_OF,$*) $(ALL_CFLAGS) -Icore \
	    -Iclients/lossctl $(LDFLAGS) -shared -o $@ $<

LOSSD_LIBS := -lmicrohttpd -lgnutls -lseccomp -ljansson -lz -lzstd -lm -pthread
$(BUILD)/lossd: $(SERVER) $(ASSETS) $(PROTO) $(DUMP_$(MODE)) $(BUILD)/libloss.a
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(LDDUMP_$(MODE)) -o $@ $^ $(LOSSD_LIBS)

# The server of `make run` has only the kernels of the best instruction set of this machine, which
# ld.so names. Only the list of kernels is compiled for it; all other objects are those of `all`.
LEVELS  := $(shell /lib64/ld-linux-x86-64.so.2 --help 2>/dev/null | \
               sed -n 's/^ *x86-64-\(v[234]\) .supported.*/x86_64_\1/p')
RUN_ISA := $(lastword $(firstword $(ISAS)) $(filter $(LEVELS),$(ISAS)))
RUN     := $(BUILD)/run-$(RUN_ISA)
$(RUN)/cpu_dispatch.o: core/dispatch/cpu_dispatch.c Makefile
	@mkdir -p $(@D)
	$(call say,CC $@)
	$(Q)$(CC) $(ALL_CFLAGS) -Icore -DKERNEL_ISAS='KERNELS($(RUN_ISA))' -MMD -MP -c -o $@ $<

$(RUN)/lossd: $(SERVER) $(ASSETS) $(PROTO) $(DUMP_$(MODE)) $(RUN)/cpu_dispatch.o \
        $(filter-out %/cpu_dispatch.o $(BUILD)/core/kernels_%,$(CORE)) \
        $(BUILD)/core/kernels_$(RUN_ISA).o
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(LDDUMP_$(MODE)) -o $@ $^ $(LOSSD_LIBS)

-include $(RUN)/cpu_dispatch.d

# tests/support/counted_malloc.c counts these calls.
COUNTED := -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc
# The tests contain both functions parallel_for: this one by another name.
NATIVE_PARALLEL := $(BUILD)/tests/native_parallel.o
$(NATIVE_PARALLEL): clients/python/native/parallel.c Makefile
	@mkdir -p $(@D)
	$(call say,CC $@)
	$(Q)$(CC) $(ALL_CFLAGS) -Dparallel_for=native_parallel_for -Icore -Iclients/python/native \
	    -MMD -MP -c -o $@ $<

$(BUILD)/tests/lossd-tests: $(TESTS) $(filter-out $(MAIN),$(SERVER)) $(ASSETS) $(PROTO) \
                            $(filter-out %/parallel.o,$(NATIVE)) $(NATIVE_PARALLEL) \
                            $(BUILD)/libloss.a
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(COUNTED) -o $@ $^ -lmicrohttpd -lgnutls -lseccomp -ljansson -lz -lzstd \
	    -lcheck_pic -lsubunit -lrt -lm -pthread

# Preloaded into the server to make calls fail. Not sanitized, because it loads before the
# sanitizers.
$(BUILD)/tests/lossd-tests: | $(BUILD)/tests/faults.so
$(BUILD)/tests/faults.so: tests/faults/faults.c tests/faults/faults.h
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) -std=c17 -D_GNU_SOURCE -fPIC -shared -fvisibility=hidden -fno-builtin \
	    $(WARN) $(CFLAGS) -o $@ $<

deps: ## install the Debian packages that the build needs
	@deploy/install-deps.sh

test-deps: ## install the Debian packages that the tests need
	@deploy/install-deps.sh tests

# Builds neither lossctl nor the kernels of other machines: `make` does that.
run: deps ## build, serve, evaluate real batches, print a table, serve until Ctrl-C (ONCE=1: exit)
	@$(MAKE) --no-print-directory $(RUN)/lossd
	@deploy/run-demo.sh $(RUN)/lossd $(if $(ONCE),--once)

test: test-deps ## build and run all tests (ONLY=NAME: the suite or the test cases of that name)
	@$(MAKE) --no-print-directory all $(BUILD)/tests/lossd-tests
	@$(ALONE) LOSSD=$(BUILD)/lossd ONLY='$(ONLY)' $(BUILD)/tests/lossd-tests

# Slow test cases carry a tag: tcase_set_tags(tcase, TAG_SLOW).
test-quick: test-deps ## run the tests that are not tagged as slow
	@$(MAKE) --no-print-directory all $(BUILD)/tests/lossd-tests
	@$(ALONE) CK_EXCLUDE_TAGS=slow LOSSD=$(BUILD)/lossd ONLY='$(ONLY)' $(BUILD)/tests/lossd-tests

check-targets: ## run every target and every command in the documents, including slow ones
	@$(MAKE) --no-print-directory all $(BUILD)/tests/lossd-tests
	@$(ALONE) /usr/bin/python3 -B tests/docs/commands.py --all

check-clients: ## install every language and run the tests and examples of all clients
	@deploy/install-deps.sh clients
	@LOSSD_CLIENTS=all $(MAKE) --no-print-directory test ONLY=clients
	@LOSSD_CLIENTS=all $(MAKE) --no-print-directory test ONLY=js
	@LOSSD_CLIENTS=all $(MAKE) --no-print-directory test ONLY=openapi_validator
	@LOSSD_CLIENTS=all $(MAKE) --no-print-directory test ONLY=python

# Tests fail if the generated files are out of date.
generate: ## regenerate the loss tables of the clients (needs python3, nodejs)
generate: $(BUILD)/lossd
	@clients/generate.sh $(BUILD)/lossd

docs: deps ## build the documentation site into build/docs/site and check its links
	@deploy/install-deps.sh docs
	@$(MAKE) --no-print-directory $(BUILD)/lossd
	@/usr/bin/python3 -B docs/site/build.py $(BUILD)/lossd

# setuptools writes files next to the sources, so it builds from a copy.
# The wheel for this kind of machine contains the library for Client("local:"), which needs glibc
# only. The other one works everywhere, without the library.
WHEEL_SOURCE := build/python/source
WHEEL := /usr/bin/python3 -m pip --quiet wheel --no-build-isolation --no-deps --no-index \
         --wheel-dir build/python $(WHEEL_SOURCE)
python-wheel: $(BUILD)/lossd-local.so ## build wheels of the Python package into build/python
	@rm -rf build/python
	@mkdir -p $(WHEEL_SOURCE)
	@cp -r $(addprefix clients/python/,pyproject.toml README.md src) LICENSE $(WHEEL_SOURCE)
	@$(WHEEL)
	@$(OBJCOPY) --strip-unneeded $< $(WHEEL_SOURCE)/src/lossd/lossd-local.so
	@printf '[bdist_wheel]\nplat_name = manylinux_2_36_$(ARCH)\n' > $(WHEEL_SOURCE)/setup.cfg
	@$(WHEEL)
	@ls build/python/lossd-$(VERSION)-*.whl

dist: ## pack the sources into build/lossd-VERSION.tar.gz, which builds without git
	@deploy/dist.sh build/lossd-$(VERSION).tar.gz

# Debian's tools must see neither the job server of this make nor other versions of Python in PATH.
# dpkg-buildpackage(1) describes DEB_BUILD_OPTIONS.
DEB_BUILD_OPTIONS ?= parallel=$(shell nproc)
deb: dist ## build Debian packages of server, lossctl, library and Python client into build/deb
	@deploy/install-deps.sh deb
	@rm -rf build/deb && mkdir -p build/deb && tar -xf build/lossd-$(VERSION).tar.gz -C build/deb
	@cp -r build/deb/lossd-$(VERSION)/deploy/debian build/deb/lossd-$(VERSION)/debian
	@$(ALONE) cd build/deb/lossd-$(VERSION) && PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	    DEB_BUILD_OPTIONS='$(DEB_BUILD_OPTIONS)' dpkg-buildpackage -us -uc -b >../log 2>&1 || { \
	    tail -n 30 ../log; echo 'make deb: failed; build/deb/log has the output' >&2; exit 1; }
	@ls build/deb/*.deb

check-deb: ## install the packages of `make deb` in a fresh Debian, use them, and purge them
	@deploy/install-deps.sh deb
	@$(MAKE) --no-print-directory deb
	@$(ALONE) tests/deb/check.py build/deb

# FAULTS=sample makes as many calls fail as `make test` does.
check-faults: test-deps ## make each allocation, thread creation and socket call fail once
	@FAULTS=$(or $(FAULTS),all) $(MAKE) --no-print-directory test ONLY=$(or $(ONLY),faults)

GOLDEN_BITS := $(BUILD)/tests/golden-bits
$(GOLDEN_BITS): tests/arm64/golden_bits.c $(BUILD)/libloss.a
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_CFLAGS) -Icore -o $@ $< $(BUILD)/libloss.a -lm

check-arm64: ## cross-compile the library for arm64; compare its bits with x86-64 in an emulator
	@deploy/install-deps.sh arm64
	@for tool in aarch64-linux-gnu-gcc qemu-aarch64; do command -v $$tool >/dev/null || { \
	    echo "check-arm64: $$tool is not installed (Debian: gcc-aarch64-linux-gnu," \
	        "libc6-dev-arm64-cross, qemu-user)" >&2; exit 1; }; done
	@$(MAKE) --no-print-directory MODE=release build/tests/golden-bits
	@$(MAKE) --no-print-directory MODE=arm64 build/arm64/tests/golden-bits
	@tests/arm64/compare.py build/tests/golden-bits \
	    qemu-aarch64 -L /usr/aarch64-linux-gnu build/arm64/tests/golden-bits

check-slurm: ## install Slurm, start a node of it, and run the job scripts of deploy/slurm
	@deploy/install-deps.sh slurm
	@$(MAKE) --no-print-directory all
	@$(ALONE) tests/slurm/check.py $(BUILD)/lossctl

check-web: ## install Chromium and test the web page
	@deploy/install-deps.sh web
	@LOSSD_WEB=all $(MAKE) --no-print-directory test ONLY=web

check-sanitize: test-deps
check-sanitize: ## run all tests under the address, undefined-behavior and thread sanitizers
	@CK_TIMEOUT_MULTIPLIER=20 $(MAKE) --no-print-directory test MODE=asan
	@CK_TIMEOUT_MULTIPLIER=20 $(MAKE) --no-print-directory test MODE=tsan

# The minimum percentages of lines and branches reached, for each of core/, proto/ and server/.
COVERAGE_LINES    ?= 95
COVERAGE_BRANCHES ?= 85
coverage: ## measure line and branch coverage; writes build/coverage/html
	@deploy/install-deps.sh coverage
	@$(MAKE) --no-print-directory MODE=coverage all build/coverage/tests/lossd-tests
	@LOSSD=build/coverage/lossd ONLY='$(ONLY)' CK_TIMEOUT_MULTIPLIER=20 \
	    tests/coverage/run.py build/coverage --lines $(COVERAGE_LINES) --branches $(COVERAGE_BRANCHES)

mutants: test-deps
mutants: ## check that tests detect deliberate bugs (hours; ONLY=WORD: matching mutants)
	@tests/mutants/run.py build $(if $(ONLY),'$(ONLY)')

# Needs clang, libclang-rt-14-dev and libomp-14-dev. All fuzz targets share these objects.
FUZZ_SECONDS ?= 60
FUZZ         := build/fuzz
FUZZ_CFLAGS  := -std=c17 -D_GNU_SOURCE -O1 -g -fopenmp -fno-sanitize-recover=all \
                -ffp-contract=off -Icore -Iproto -Iserver
FUZZ_CHECKS  := address,undefined
FUZZ_TARGETS ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/*.c))
FUZZ_SOURCES := $(foreach layer,core proto server,$(call SOURCES_OF,$(layer)))
FUZZ_SOURCES := $(filter-out server/main.c,$(FUZZ_SOURCES))
FUZZ_OBJECTS := $(patsubst %.c,$(FUZZ)/objects/%.o,$(FUZZ_SOURCES)) $(FUZZ)/objects/assets.o

fuzz: $(patsubst %,$(FUZZ)/%,$(FUZZ_TARGETS)) ## fuzz each of FUZZ_TARGETS for FUZZ_SECONDS
	@for target in $(FUZZ_TARGETS); do \
	    mkdir -p $(FUZZ)/corpus-$$target && \
	    $(FUZZ)/$$target -max_total_time=$(FUZZ_SECONDS) -timeout=30 -max_len=4096 \
	        -artifact_prefix=$(FUZZ)/ $(FUZZ)/corpus-$$target tests/fuzz/corpus/$$target || exit 1; \
	done

$(FUZZ)/%: tests/fuzz/fuzz_%.c $(FUZZ_OBJECTS)
	$(call say,LD $@)
	$(Q)clang $(FUZZ_CFLAGS) -fsanitize=fuzzer,$(FUZZ_CHECKS) -o $@ $^ \
	    -lmicrohttpd -lgnutls -lseccomp -ljansson -lz -lzstd -lm

$(FUZZ)/objects/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC $@)
	$(Q)clang $(FUZZ_CFLAGS) $(MARCH) -fsanitize=fuzzer-no-link,$(FUZZ_CHECKS) -MMD -MP -c -o $@ $<

$(FUZZ)/objects/assets.o: $(BUILD)/web/assets.c Makefile
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_CFLAGS) -c -o $@ $<

.SECONDARY: $(FUZZ_OBJECTS)
-include $(FUZZ_OBJECTS:.o=.d)

# Minutes of load on a real server. Each target prints its figures and fails if a limit is exceeded.
LOAD         := LOSSD=$(BUILD)/lossd /usr/bin/python3 -B tests/long/load
SOAK_SECONDS ?= 1200
SOAK_BURSTS  ?= 6
SLOW_SECONDS ?= 60
SLOW_IDLE    ?= 10000
DRAIN_COUNT  ?= 50
MEMORY_MIB   ?= 256
SIZES_MIB    ?= 4096
soak check-slow check-drain check-memory check-sizes: $(BUILD)/lossd

soak: ## send valid, invalid, slow and aborted requests for SOAK_SECONDS; check for leaks
	@$(LOAD)/soak.py $(SOAK_SECONDS) $(SOAK_BURSTS)

check-slow: ## keep SLOW_IDLE idle and SLOW_IDLE/10 slow connections open for SLOW_SECONDS
	@$(LOAD)/slow.py $(SLOW_SECONDS) $(SLOW_IDLE)

check-drain: ## send SIGTERM DRAIN_COUNT times while 32 clients send requests; none may fail
	@$(LOAD)/drain.py $(DRAIN_COUNT)

check-memory: ## send 64 bodies of MEMORY_MIB to a server whose --max-memory is 8 times that
	@$(LOAD)/memory.py $(MEMORY_MIB)

check-sizes: ## send bodies around every size limit, up to SIZES_MIB (4 GiB needs 10 GiB of memory)
	@$(LOAD)/sizes.py $(SIZES_MIB)

MATHEMATICS_STRIDE ?= 1
NUMBERS_STRIDE     ?= 1
SUMS               ?= 100
SCALE_GB           ?= 4

check-mathematics: $(BUILD)/tests/mathematics-exhaustive
check-mathematics: ## measure exp, log and log1p for every MATHEMATICS_STRIDE-th float32
	@$(BUILD)/tests/mathematics-exhaustive $(MATHEMATICS_STRIDE)

$(BUILD)/tests/mathematics-exhaustive: tests/long/mathematics_exhaustive.c \
                                       core/kernel/vector_math.h tests/support/ulps.h
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_CFLAGS) -Icore -Itests -o $@ $< -lm

check-accuracy: $(BUILD)/tests/golden-bits
check-accuracy: ## measure the errors of float32 and of PyTorch's; prints docs/accuracy.md's table
	@deploy/install-deps.sh accuracy
	@tests/long/accuracy.py $(BUILD)/tests/golden-bits

check-cost: test-deps ## compare the measured cost of every loss with its plan (loss_plan.work)
	@LOSSD_COSTS=all $(MAKE) --no-print-directory test ONLY=costs

check-sums: test-deps
check-sums: ## compare SUMS times 20 000 sums with integers of any length
	@CK_TIMEOUT_MULTIPLIER=$(SUMS) LOSSD_SUMS=$(SUMS) \
	    $(MAKE) --no-print-directory test ONLY=exact_sums

check-numbers: $(BUILD)/tests/number-exhaustive
check-numbers: ## write and read back every NUMBERS_STRIDE-th float32
	@$(BUILD)/tests/number-exhaustive $(NUMBERS_STRIDE)

$(BUILD)/tests/number-exhaustive: tests/long/number_exhaustive.c $(PROTO) $(BUILD)/libloss.a
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(ALL_CFLAGS) -Iproto -o $@ $(filter %.c $(BUILD)/proto/number/% %.a,$^) -lm

# The drivers of bench/run.py. Some peers are header files, detected when the driver is compiled.
# The stamp's name lists them, so that the driver is compiled again when one is installed. If g++ is
# not installed, run.py reports it.
BENCH       := $(BUILD)/bench
HAVE_CXX    := $(shell command -v $(CXX))
HAVE_HEADER  = $(wildcard /usr/include/$(1))
TEXT_PEERS  := $(notdir $(call HAVE_HEADER,simdjson.h) $(call HAVE_HEADER,fast_float/fast_float.h) \
                        $(call HAVE_HEADER,double-conversion/double-conversion.h))
TEXT_LIBS   := $(if $(filter simdjson.h,$(TEXT_PEERS)),-lsimdjson) \
               $(if $(filter double-conversion.h,$(TEXT_PEERS)),-ldouble-conversion)
TEXT_STAMP  := $(BENCH)/text-with$(subst .h,,$(addprefix -,$(TEXT_PEERS)))
TEXT_STAMP  := $(subst $() ,,$(TEXT_STAMP))
DRIVERS     := $(BENCH)/core $(BENCH)/load $(BENCH)/bare $(if $(HAVE_CXX),$(BENCH)/text)
# References and peers are compiled for this CPU; lossd is compiled as it is shipped.
PEER_FLAGS  := -O3 -march=native

bench bench-quick bench-smoke: $(BUILD)/lossd $(DRIVERS) $(LOCAL)
bench: ## compare with PyTorch, simdjson, FastAPI, nginx and others; writes build/bench.{json,svg}
	@/usr/bin/python3 -B bench/run.py --build $(BUILD) --only '$(ONLY)'

bench-quick: ## bench with fewer repetitions and smaller batches
	@/usr/bin/python3 -B bench/run.py --build $(BUILD) --only '$(ONLY)' --quick

bench-smoke: ## bench on tiny batches, to test that it runs; skips peers that are not installed
	@/usr/bin/python3 -B bench/run.py --build $(BUILD) --only '$(ONLY)' --smoke

bench-scale: all
bench-scale: ## measure lossctl eval over SCALE_GB gigabytes of shards, by ranks and threads
	@/usr/bin/python3 -B bench/scale.py --build $(BUILD) --gigabytes $(SCALE_GB)

bench-chart: ## redraw docs/img/bench.svg from build/bench.json
	@/usr/bin/python3 -B bench/chart.py $(BUILD)/bench.json docs/img/bench.svg

bench-deps: deps ## install the Debian packages that bench compares with
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
	$(Q)$(CXX) -std=c++17 -fopenmp -Wall -Wextra $(PEER_FLAGS) -Icore -Iproto -o $@ \
	    $(filter %.cc %.o %.a,$^) $(TEXT_LIBS) -ljansson -lz -lzstd -lm

$(TEXT_STAMP):
	@mkdir -p $(@D)
	@rm -f $(BENCH)/text-with*
	@touch $@

install: all install-lib
install: ## install server, lossctl, manual pages, systemd units and library into PREFIX
	install -D -m 755 $(BUILD)/lossd $(DESTDIR)$(PREFIX)/bin/lossd
	install -d $(DESTDIR)$(PREFIX)/share/man/man8
	$(BUILD)/lossd --man > $(DESTDIR)$(PREFIX)/share/man/man8/lossd.8
	$(if $(HAVE_CURL),$(MAKE) --no-print-directory install-lossctl)
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|/usr/local/|$(PREFIX)/|' deploy/lossd.service > $(DESTDIR)$(UNITDIR)/lossd.service
	install -m 644 deploy/lossd.socket $(DESTDIR)$(UNITDIR)/lossd.socket
	test -e $(DESTDIR)/etc/lossd.conf || install -D -m 644 deploy/lossd.conf $(DESTDIR)/etc/lossd.conf

COMPLETIONS := $(PREFIX)/share/bash-completion/completions/lossctl $(ZSHDIR)/_lossctl \
               $(PREFIX)/share/fish/vendor_completions.d/lossctl.fish

# The last folder in a path that is the name of a shell, such as zsh.
SHELL_OF = $(lastword $(filter bash zsh fish,$(subst -, ,$(subst /, ,$(1)))))

# lossctl prints its own manual page and completions.
install-lossctl: $(BUILD)/lossctl $(MPI_MODULES)
install-lossctl: ## install only lossctl, its modules for MPI, manual page and shell completions
	install -D -m 755 $(BUILD)/lossctl $(DESTDIR)$(PREFIX)/bin/lossctl
	$(foreach module,$(MPI_MODULES),install -D -m 755 $(module) \
	    $(DESTDIR)$(PREFIX)/lib/lossd/$(notdir $(module)) &&) true
	install -d $(addprefix $(DESTDIR),$(PREFIX)/share/man/man1 $(dir $(COMPLETIONS)))
	$(BUILD)/lossctl --man > $(DESTDIR)$(PREFIX)/share/man/man1/lossctl.1
	$(foreach file,$(COMPLETIONS),$(BUILD)/lossctl completions $(call SHELL_OF,$(file)) \
	    > $(DESTDIR)$(file) &&) true

install-lib: lib ## install only the library, its header and its pkg-config file
	install -D -m 644 core/loss.h $(DESTDIR)$(PREFIX)/include/loss.h
	install -D -m 644 $(BUILD)/libloss.a $(DESTDIR)$(LIBDIR)/libloss.a
	install -D -m 755 $(BUILD)/libloss.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libloss.so.$(SOVERSION)
	ln -sf libloss.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libloss.so
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' \
	    core/libloss.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/libloss.pc
	$(if $(DESTDIR),,-ldconfig)

uninstall: ## remove the installed files (except /etc/lossd.conf)
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,bin/lossd bin/lossctl include/loss.h \
	    lib/lossd/lossctl-openmpi.so lib/lossd/lossctl-mpich.so \
	    share/man/man1/lossctl.1 share/man/man8/lossd.8)
	rm -f $(addprefix $(DESTDIR),$(COMPLETIONS) $(UNITDIR)/lossd.service $(UNITDIR)/lossd.socket)
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,libloss.a libloss.so libloss.so.$(SOVERSION) \
	    pkgconfig/libloss.pc)

# ---- Checks of the sources ----

# Everything but the static analyzer of clang-tidy, which takes minutes.
check: ## run the fast checks: format, columns, tidy, layering, links, names, commands, spelling
	@deploy/install-deps.sh check
	@$(MAKE) --no-print-directory --keep-going check-format check-tidy check-docs check-spelling

FORMATTED = find bench clients core proto server tests -name node_modules -prune -o \
            -name '*.[ch]' -print -o -name '*.cc' -print
format: ## format the sources with clang-format
	@deploy/install-deps.sh check
	@$(FORMATTED) | xargs clang-format -i

check-format:
	@$(FORMATTED) | xargs clang-format --dry-run -Werror

TIDY_FILES ?= $(filter-out $(if $(TIDY_MPI),,$(MPI_MODULE_SOURCE)), \
    $(foreach layer,core proto server clients/lossctl clients/python,$(call SOURCES_OF,$(layer))))
TIDY_FLAGS  = -std=c17 -D_GNU_SOURCE -fopenmp -Icore -Iproto -Iserver -Iclients/lossctl \
              -Iclients/python/native $(TIDY_MPI)
# Where the header of MPI is, if Open MPI is installed.
TIDY_MPI    = $(if $(call MPI_CC_OF,openmpi),$(shell $(call MPI_CC_OF,openmpi) --showme:compile))
# Checks a few files per process, with one process per CPU. Discards stderr, which only counts
# suppressed warnings.
TIDY = printf '%s\n' $(TIDY_FILES) | xargs -n 8 -P $(shell nproc) \
       sh -c 'clang-tidy --quiet $(1) "$$@" -- $(TIDY_FLAGS) 2>/dev/null' clang-tidy
tidy: ## run clang-tidy on TIDY_FILES (all: minutes)
	@deploy/install-deps.sh check
	@clang-tidy --version >/dev/null
	@$(call TIDY,)

check-tidy:
	@clang-tidy --version >/dev/null
	@$(call TIDY,--checks=-clang-analyzer-*)

check-docs:
	@/usr/bin/python3 -B tests/docs/layers.py
	@/usr/bin/python3 -B deploy/version.py
	@/usr/bin/python3 -B docs/site/build.py --gather
	@/usr/bin/python3 -B tests/docs/files.py
	@/usr/bin/python3 -B tests/docs/columns.py
	@$(ALONE) /usr/bin/python3 -B tests/docs/commands.py --list

# Deliberate misspellings in tests of "did you mean".
MISSPELLED := imput,redction,singal,weigth,wieght
SPELLED    := README.md CONTRIBUTING.md CHANGELOG.md ARCHITECTURE.md Makefile \
              bench clients core deploy docs proto server tests web
check-spelling:
	@codespell --ignore-words-list $(MISSPELLED) \
	    --skip 'node_modules,corpus,cases,reference,*.min.js,*.jsonl,*.json,*.svg' $(SPELLED)

clean: ## remove the build folder
	rm -rf build

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | \
	    while IFS="$$(printf '\t')" read -r name text; do printf '  %-18s %s\n' "$$name" "$$text"; done

-include $(filter-out $(BUILD)/core/kernels_%,$(CORE:.o=.d))
-include $(patsubst %.o,%.d,$(PROTO) $(SERVER) $(CTL) $(NATIVE) $(NATIVE_PARALLEL) $(ASSETS) \
                             $(TESTS))
