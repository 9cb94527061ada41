# Builds ckpt out of tree. Files are found by wildcard: a new .c, .S or .proto needs no line here.
#
#   B=DIR    the build directory (default: build, or build-asan and the like for a variant)
#   CC=clang or an aarch64 cross compiler; the ISA follows from it
#   SYSROOT=DIR a / of that machine, with its libraries (contrib/vm.sh -a aarch64 -p makes one)
#   SAN=1    ASan and UBSan (SAN=thread, SAN=address, ... for others)
#   WERROR=1 warnings are errors (lint and CI)
#   V=1      prints whole commands

# make -s
SILENT := $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

VERSION := 0.1.0

# ---- where and for what ------------------------------------------------------------------------

ifneq ($(filter default undefined,$(origin CC)),)
CC := gcc
endif
AR      ?= ar
LD      ?= ld
OBJCOPY ?= objcopy
PROTOC_C ?= protoc-c
PKG_CONFIG ?= pkg-config
PYTHON  ?= python3

# The libraries of another machine: compiler and pkg-config look there alone.
SYSROOT ?=
ifneq ($(SYSROOT),)
override CC := $(CC) --sysroot=$(SYSROOT)
PKG_CONFIG := PKG_CONFIG_SYSROOT_DIR=$(SYSROOT) PKG_CONFIG_LIBDIR=$(firstword \
	$(wildcard $(SYSROOT)/usr/lib/*-linux-gnu/pkgconfig)) $(PKG_CONFIG)
endif

SAN ?=
ifeq ($(SAN),)
B ?= build
else ifeq ($(SAN),1)
B ?= build-asan
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else
B ?= build-$(SAN)
SANFLAGS := -fsanitize=$(SAN) -fno-omit-frame-pointer
endif

ISA := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))
# Cross compilers bring their own binutils: aarch64-linux-gnu-gcc -> aarch64-linux-gnu-
CROSS := $(filter %-,$(patsubst %gcc,%,$(notdir $(firstword $(CC)))))

PREFIX  ?= /usr/local
DESTDIR ?=
BINDIR  ?= $(PREFIX)/bin
LIBDIR  ?= $(PREFIX)/lib
INCDIR  ?= $(PREFIX)/include
MANDIR  ?= $(PREFIX)/share/man
COMPDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR  ?= $(PREFIX)/share/zsh/site-functions

ifneq ($(SILENT),)
Q := @
say := @:
else ifeq ($(V),1)
Q :=
say := @:
else
Q := @
say := @printf '  %-7s %s\n'
endif

# ---- flags -------------------------------------------------------------------------------------

PKGS := libcap libprotobuf-c libnl-3.0 libnl-route-3.0 jansson libxxhash liblz4 libzstd libmd
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null)
UNIT_CFLAGS := $(shell $(PKG_CONFIG) --cflags criterion 2>/dev/null)
UNIT_LIBS   := $(shell $(PKG_CONFIG) --libs criterion 2>/dev/null)

CFLAGS   ?= -O2 -g
CPPFLAGS ?=
LDFLAGS  ?=
STD      := -std=gnu11
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wno-unused-parameter $(if $(WERROR),-Werror)
INC      := -Isrc -Isrc/arch/$(ISA) -Iinclude -I$(B)
DEPS      = -MMD -MP
ALL_CPPFLAGS := -D_GNU_SOURCE -DCKPT_VERSION='"$(VERSION)"' $(INC) $(PKG_CFLAGS) $(CPPFLAGS)
ALL_CFLAGS   := $(STD) $(CFLAGS) $(WARN) -fPIC -pthread $(SANFLAGS)
ALL_LDFLAGS  := -Wl,--as-needed -pthread $(SANFLAGS) $(LDFLAGS)
LIBS         := $(PKG_LIBS)

# The agent runs inside a foreign process: no library, no FPU, no relocation.
AGENT_ISA_x86_64 := -mgeneral-regs-only -fcf-protection=none
AGENT_ISA_aarch64 := -mgeneral-regs-only -mno-outline-atomics -mbranch-protection=none
AGENT_GOT_x86_64 := 0
AGENT_GOT_aarch64 := 8
AGENT_CFLAGS := $(STD) -g -O2 $(WARN) -ffreestanding -fPIC -fvisibility=hidden -fno-jump-tables \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-builtin \
	-fno-common -nostdlib $(AGENT_ISA_$(ISA))

# ---- files -------------------------------------------------------------------------------------

# $(call find,DIR,SUFFIX): every file below DIR, sorted
find = $(sort $(foreach d,$(wildcard $(1)/*),$(call find,$(d),$(2)) $(filter %$(2),$(d))))

PROTO    := $(call find,proto,.proto)
PROTO_C  := $(PROTO:%.proto=$(B)/%.pb-c.c)
PROTO_H  := $(PROTO_C:.c=.h)
# Messages that only unit tests use.
UNIT_PROTO_C := $(patsubst %.proto,$(B)/%.pb-c.c,$(call find,test/unit,.proto))
UNIT_PROTO_H := $(UNIT_PROTO_C:.c=.h)

# Of src/arch, the files at its top and those of the target's ISA.
ARCH_SRC := $(wildcard src/arch/*.c src/arch/*.S) \
	$(filter-out %/agent_entry.S,$(call find,src/arch/$(ISA),.c) $(call find,src/arch/$(ISA),.S))
HOST_SRC := $(filter-out src/agent/% src/arch/%,$(call find,src,.c) $(call find,src,.S)) $(ARCH_SRC)
CLI_SRC  := $(filter src/cli/%,$(HOST_SRC))
LIB_SRC  := $(filter-out src/cli/%,$(HOST_SRC))
AGENT_SRC := $(wildcard src/arch/$(ISA)/agent_entry.S) $(call find,src/agent,.c)
UNIT_SRC := $(call find,test/unit,.c)
# One victim per file
E2E_SRC  := $(sort $(shell grep -L 'e2e: isa:' test/e2e/*.c; grep -l 'e2e: isa: $(ISA)' test/e2e/*.c))

obj = $(addprefix $(B)/obj/,$(addsuffix .o,$(basename $(1))))
LIB_OBJ   := $(call obj,$(LIB_SRC)) $(PROTO_C:.c=.o)
CLI_OBJ   := $(call obj,$(CLI_SRC))
UNIT_OBJ  := $(call obj,$(UNIT_SRC)) $(UNIT_PROTO_C:.c=.o)
AGENT_OBJ := $(patsubst %,$(B)/agent/%.o,$(basename $(AGENT_SRC)))
E2E_BIN   := $(patsubst test/e2e/%.c,$(B)/e2e/%,$(E2E_SRC))

OBJ_ALL := $(LIB_OBJ) $(CLI_OBJ) $(UNIT_OBJ) $(AGENT_OBJ)

# ---- build -------------------------------------------------------------------------------------

.PHONY: all lib agent
all: $(if $(CLI_SRC),$(B)/ckpt docs) $(B)/libckpt.a ## build/ckpt and build/libckpt.a (the default)
lib: $(B)/libckpt.a
agent: $(B)/agent.bin

ifeq ($(PKG_LIBS),)
$(B)/.flags: missing-libs
.PHONY: missing-libs
missing-libs:
	@echo "ckpt: libraries are missing: run contrib/install-deps.sh as root" >&2
	@$(PKG_CONFIG) --print-errors --exists $(PKGS)
	@false
endif

# Rebuild all when the compiler or the flags change: the text of this file is what they were.
FLAGS_NOW := $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(LIBS) $(AGENT_CFLAGS)
.PHONY: force
$(B)/.flags: force
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $@ || \
		printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' > $@

$(B)/proto/%.pb-c.c $(B)/proto/%.pb-c.h &: proto/%.proto
	$(say) PROTOC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(PROTOC_C) -I. --c_out=$(B) $<

$(B)/test/unit/%.pb-c.c $(B)/test/unit/%.pb-c.h &: test/unit/%.proto
	$(say) PROTOC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(PROTOC_C) -I. --c_out=$(B) $<

$(B)/%.pb-c.o: $(B)/%.pb-c.c $(B)/.flags | $(PROTO_H) $(UNIT_PROTO_H)
	$(say) CC $<
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -w $(DEPS) -c -o $@ $<

# The names of the system calls, from the headers of the ISA that is built for.
$(B)/gen/syscall_names.h: $(B)/.flags
	$(say) GEN $@
	$(Q)mkdir -p $(@D)
	$(Q)echo '#include <asm/unistd.h>' | $(CC) -E -dM - | \
		sed -n 's/^#define __NR_\([a-z_0-9]*\) \([0-9][0-9]*\)$$/[\2] = "\1",/p' > $@

$(B)/obj/src/kernel/syscall_name.o: $(B)/gen/syscall_names.h

# Every field, enumerator and function of the public header, for the test that holds the options against them.
$(B)/gen/abi_table.h: include/ckpt.h contrib/abi.py
	$(say) GEN $@
	$(Q)mkdir -p $(@D)
	$(Q)$(PYTHON) contrib/abi.py --table > $@

$(B)/obj/test/unit/lib/parity.o: $(B)/gen/abi_table.h

$(B)/obj/test/unit/%.o: ALL_CPPFLAGS += $(UNIT_CFLAGS)
$(filter %.o,$(UNIT_OBJ)): | $(UNIT_PROTO_H)

$(B)/obj/%.o: %.c $(B)/.flags | $(PROTO_H)
	$(say) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(DEPS) -c -o $@ $<

$(B)/obj/%.o: %.S $(B)/.flags
	$(say) AS $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) -fPIC $(DEPS) -Wa,-I$(B) -c -o $@ $<

# .incbin is not seen by -MMD
$(B)/obj/src/inject/agent_blob.o: $(B)/agent.bin

$(B)/libckpt.a: $(LIB_OBJ)
	$(say) AR $@
	$(Q)rm -f $@ && $(CROSS)$(AR) rcs $@ $^

# The same objects; only the functions that include/ckpt.h declares are visible.
SONAME := libckpt.so.0
$(B)/libckpt.map: include/ckpt.h
	$(Q){ echo 'CKPT_0 { global:'; sed -n 's/^[a-z].*[ *]\(ckpt_[a-z0-9_]*\)(.*/\1;/p' $<; \
		echo 'local: *; };'; } > $@

$(B)/libckpt.so: $(B)/libckpt.a $(B)/libckpt.map
	$(say) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,-z,defs \
		-Wl,--version-script,$(B)/libckpt.map -o $@ \
		-Wl,--whole-archive $(B)/libckpt.a -Wl,--no-whole-archive $(LIBS)
	$(Q)ln -sf libckpt.so $(B)/$(SONAME)

$(B)/ckpt: $(CLI_OBJ) $(B)/libckpt.a
	$(say) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(CLI_OBJ) $(B)/libckpt.a $(LIBS)

# The man page and the completion scripts come from the table of options, so from the tool itself.
# A cross-built tool can't be run here: these files are then left out.
.PHONY: docs
ifeq ($(ISA),$(shell uname -m))
docs: $(B)/ckpt.1 $(B)/ckpt.bash $(B)/_ckpt
endif

$(B)/ckpt.1: $(B)/ckpt
	$(Q)$< help --man > $@

.PHONY: rpc-doc abi
abi: $(B)/libckpt.so ## writes what libckpt exports into test/abi/libckpt.abi
	$(Q)CC='$(CC)' $(PYTHON) contrib/abi.py $< --write

rpc-doc: $(B)/ckpt ## writes the methods of the service into docs/RPC.md
	$(Q)sed -i '/^## Methods/q' docs/RPC.md && $< help --rpc >> docs/RPC.md

$(B)/ckpt.bash: $(B)/ckpt
	$(Q)$< help --completion bash > $@

$(B)/_ckpt: $(B)/ckpt
	$(Q)$< help --completion zsh > $@

# ---- the agent ---------------------------------------------------------------------------------

$(B)/agent/%.o: %.c $(B)/.flags
	$(say) 'CC agt' $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(INC) $(AGENT_CFLAGS) $(DEPS) -c -o $@ $<

$(B)/agent/%.o: %.S $(B)/.flags
	$(say) 'AS agt' $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(INC) $(AGENT_CFLAGS) $(DEPS) -c -o $@ $<

# -pie makes every absolute address a dynamic relocation, which agent.lds then refuses.
$(B)/agent.elf: $(AGENT_OBJ) src/agent/agent.lds
	$(say) LD $@
	$(Q)$(CROSS)$(LD) -pie --no-dynamic-linker -z notext -z noexecstack --build-id=none \
		--fatal-warnings --defsym=got_reserved_bytes=$(AGENT_GOT_$(ISA)) -T src/agent/agent.lds -o $@ $(AGENT_OBJ)

$(B)/agent.bin: $(B)/agent.elf
	$(say) OBJCOPY $@
	$(Q)$(CROSS)$(OBJCOPY) -O binary -j .agent $< $@

# ---- tests -------------------------------------------------------------------------------------

.PHONY: check unit e2e e2e-bin real scene peer test bench soak demo
unit: $(B)/unit
check: ## unit tests: no privilege, seconds (T=suite/test picks some)
	@if [ -z "$(UNIT_SRC)" ]; then echo "no unit tests yet"; \
	else $(MAKE) --no-print-directory $(B)/unit && \
		$(B)/unit $(if $(T),--filter '$(T)') $(UNIT_ARGS); fi

# Of the command everything but main(); an archive, so that a test takes only what it calls.
$(B)/cli.a: $(filter-out %/main.o,$(CLI_OBJ))
	$(say) AR $@
	$(Q)rm -f $@ && $(CROSS)$(AR) rcs $@ $^

$(B)/unit: $(UNIT_OBJ) $(B)/cli.a $(B)/libckpt.a
	$(say) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(UNIT_OBJ) $(B)/cli.a $(B)/libckpt.a $(UNIT_LIBS) $(LIBS)

e2e-bin: $(E2E_BIN)

# A victim is a plain program; what it needs more it says in a comment: "e2e: cflags: ...".
$(B)/e2e/%: test/e2e/%.c $(B)/.flags
	$(say) VICTIM $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(STD) -O1 -g -Wall -Wextra $(if $(WERROR),-Werror) -pthread -Itest/e2e $(DEPS) \
		-MF $@.d -o $@ $< $(shell sed -n 's/.*e2e: *cflags: *\([^*]*\).*/\1/p' $<)

e2e: all $(E2E_BIN) ## end-to-end tests as root (T="name ..." picks some)
	@if [ -f test/e2e/run.py ]; then E2E_BUILD=$(abspath $(B)) $(PYTHON) test/e2e/run.py $(E2E_ARGS) $(T); \
	else echo "no end-to-end driver yet"; fi

real: all ## real programs as root, dumped and restored in a row (T="name ..." picks some)
	@E2E_BUILD=$(abspath $(B)) $(PYTHON) test/real/run.py $(REAL_ARGS) $(T)

scene: all $(B)/libckpt.so ## the command in an odd world: changed files, taken pids (T="name ..." picks some)
	@E2E_BUILD=$(abspath $(B)) $(PYTHON) test/scene/run.py $(T)

peer: all ## real servers, dumped and restored while their clients stay (T="name ..." picks some)
	@E2E_BUILD=$(abspath $(B)) $(PYTHON) test/peer/run.py $(PEER_ARGS) $(T)

TEST_GROUPS ?= unit e2e real scene peer lint
test: ## everything: dependencies, build, unit, end to end, cheap lint; closes with a count
	@contrib/install-deps.sh --test
	@$(MAKE) --no-print-directory all
	@B=$(B) contrib/run-tests.sh $(TEST_GROUPS)

bench: all ## speed against the limit of the machine
	@E2E_BUILD=$(abspath $(B)) $(PYTHON) test/bench/run.py $(BENCH_ARGS)

SOAK_ARGS ?= --mode loop,kill
.PHONY: soak-victims soak-real soak-peer
soak: soak-victims soak-real soak-peer ## the long loops as root: hours (T="name ..." picks victims)
soak-victims: all e2e-bin
	@E2E_BUILD=$(abspath $(B)) $(PYTHON) test/e2e/run.py --soak $(SOAK_ARGS) $(T)
soak-real: all
	@E2E_BUILD=$(abspath $(B)) $(PYTHON) test/real/run.py --rounds 200
soak-peer: all
	@E2E_BUILD=$(abspath $(B)) $(PYTHON) test/peer/run.py --rounds 100 --seconds 600

# libFuzzer over what reads an image, and over the service; the corpora stay in build-fuzz for the next run.
.PHONY: fuzz fuzz-image fuzz-session fuzz-socket
FUZZ_SECONDS ?= 30
FUZZ_RUN = UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 build-fuzz/$(1)_fuzz -max_total_time=$(FUZZ_SECONDS) \
	-timeout=20 -artifact_prefix=build-fuzz/ -print_final_stats=1
FUZZ_BUILD = $(MAKE) --no-print-directory B=build-fuzz CC=clang SAN=fuzzer-no-link,address,undefined \
	build-fuzz/$(1)_fuzz && mkdir -p build-fuzz/$(2)
fuzz: fuzz-image fuzz-session ## damaged images, and messages to the service, with clang (FUZZ_SECONDS=30)
fuzz-image:
	@$(call FUZZ_BUILD,image,corpus)
	$(call FUZZ_RUN,image) -max_len=4096 build-fuzz/corpus
fuzz-session:
	@$(call FUZZ_BUILD,session,corpus-session)
	$(call FUZZ_RUN,session) -max_len=20000 build-fuzz/corpus-session test/fuzz/session

fuzz-socket: ## mutated messages to a living service, as root (FUZZ_SECONDS=30)
	@$(MAKE) --no-print-directory B=build-fuzz CC=clang SAN=fuzzer-no-link,address,undefined build-fuzz/ckpt
	$(PYTHON) test/fuzz/socket_fuzz.py build-fuzz/ckpt $(FUZZ_SECONDS)

$(B)/%_fuzz: test/fuzz/%_fuzz.c $(B)/libckpt.a
	$(say) LD $@
	$(Q)$(CC) $(ALL_CPPFLAGS) $(STD) $(CFLAGS) -pthread -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=undefined -o $@ $< $(B)/libckpt.a $(LIBS)

demo: ## shows the tool at work, from nothing
	@contrib/install-deps.sh
	@$(MAKE) --no-print-directory all
	@E2E_BUILD=$(abspath $(B)) test/demo/run.sh

# ---- lint --------------------------------------------------------------------------------------

.PHONY: format lint lint-quick lint-format lint-layers lint-guards lint-cross lint-cppcheck lint-shell
lint: lint-quick lint-cross lint-cppcheck lint-shell ## style, layers, aarch64 cross compile, cppcheck
lint-quick: lint-format lint-layers lint-guards

C_FILES := $(filter %.c %.h,$(shell git ls-files 2>/dev/null))
format: ## rewrites every source in the committed style
	clang-format -i $(C_FILES)

lint-format:
	$(say) LINT clang-format
	$(Q)clang-format --dry-run -Werror $(C_FILES)

lint-layers:
	$(say) LINT layers
	$(Q)$(PYTHON) contrib/check-layers.py

lint-guards:
	$(say) LINT 'guards of the build'
	$(Q)test/build/guards.sh

# All of it but what needs generated assembly, for the other ISA. Headers of libraries are the same there.
CROSS_CC := aarch64-linux-gnu-gcc
CROSS_INC = $(subst arch/$(ISA),arch/aarch64,$(INC))
CROSS_SRC := $(filter-out src/arch/% src/agent/%,$(call find,src,.c)) $(wildcard src/arch/*.c) \
	$(filter-out %/agent_entry.S,$(call find,src/arch/aarch64,.c))
CROSS_AGENT := $(call find,src/agent,.c) src/arch/aarch64/agent_entry.S
lint-cross: $(PROTO_H) $(B)/gen/syscall_names.h
	$(say) LINT $(CROSS_CC)
	$(Q)mkdir -p $(B)/cross; for f in $(CROSS_AGENT); do \
		$(CROSS_CC) $(CROSS_INC) $(subst $(AGENT_ISA_$(ISA)),$(AGENT_ISA_aarch64),$(AGENT_CFLAGS)) \
			-Werror -c -o $(B)/cross/$$(echo $$f | tr / _).o $$f || exit 1; done
	$(Q)for f in $(CROSS_SRC); do \
		$(CROSS_CC) -fsyntax-only $(subst arch/$(ISA),arch/aarch64,$(ALL_CPPFLAGS)) $(STD) -O2 $(WARN) \
			-Werror $$f || exit 1; done

lint-cppcheck: $(PROTO_H)
	$(say) LINT cppcheck
	$(Q)cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr \
		--enable=warning,portability --suppress=missingIncludeSystem -D_GNU_SOURCE \
		-D__x86_64__ --suppressions-list=contrib/cppcheck.txt -Isrc -Iinclude src

lint-shell:
	$(say) LINT shellcheck
	$(Q)if command -v shellcheck >/dev/null; then shellcheck -e SC1007,SC2034,SC2154 .ci/run $$(git ls-files '*.sh'); fi

# ---- install -----------------------------------------------------------------------------------

.PHONY: install uninstall clean help
install: all docs $(B)/libckpt.so ## PREFIX=/usr/local, DESTDIR=
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCDIR)
	install -m 755 $(B)/ckpt $(DESTDIR)$(BINDIR)/ckpt
	install -m 644 $(B)/libckpt.a $(DESTDIR)$(LIBDIR)/libckpt.a
	install -m 755 $(B)/libckpt.so $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libckpt.so
	install -m 644 include/ckpt.h $(DESTDIR)$(INCDIR)/ckpt.h
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCDIR)' '' 'Name: ckpt' \
		'Description: checkpoint and restart of Linux processes' 'Version: $(VERSION)' \
		'Requires.private: $(PKGS)' 'Libs: -L$${libdir} -lckpt' 'Libs.private: -pthread' \
		'Cflags: -I$${includedir}' > $(DESTDIR)$(LIBDIR)/pkgconfig/ckpt.pc
	if [ -f $(B)/ckpt.1 ]; then install -D -m 644 $(B)/ckpt.1 $(DESTDIR)$(MANDIR)/man1/ckpt.1; fi
	if [ -f $(B)/ckpt.bash ]; then install -D -m 644 $(B)/ckpt.bash $(DESTDIR)$(COMPDIR)/ckpt; fi
	if [ -f $(B)/_ckpt ]; then install -D -m 644 $(B)/_ckpt $(DESTDIR)$(ZSHDIR)/_ckpt; fi

uninstall: ## takes away what install put there
	rm -f $(DESTDIR)$(BINDIR)/ckpt $(addprefix $(DESTDIR)$(LIBDIR)/,libckpt.a libckpt.so $(SONAME)) $(DESTDIR)$(INCDIR)/ckpt.h \
		$(DESTDIR)$(LIBDIR)/pkgconfig/ckpt.pc $(DESTDIR)$(MANDIR)/man1/ckpt.1 \
		$(DESTDIR)$(COMPDIR)/ckpt $(DESTDIR)$(ZSHDIR)/_ckpt

clean: ## removes the build directory
	rm -rf $(B)

help: ## this list
	@echo 'make TARGET [B=DIR] [CC=clang] [SAN=1] [WERROR=1] [V=1]'
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS=$$'\t' read -r t d; do printf '  %-10s %s\n' "$$t" "$$d"; done

-include $(OBJ_ALL:.o=.d) $(addsuffix .d,$(E2E_BIN))
