# smtptap. `make` builds ./smtptap; `make demo` and `make test` install what they need first.
# BUILD is one of release debug asan tsan fuzz: objects of each stand beside the others in build/.

BUILD ?= release
PREFIX ?= /usr/local
SHELL := /bin/sh
.DELETE_ON_ERROR:
Q := $(if $(V),,@)
.SECONDARY:

CC_release ?= gcc
CC_debug ?= gcc
CC_asan ?= gcc
CC_tsan ?= clang
CC_fuzz ?= clang
CC_clang ?= clang
ifeq ($(origin CC),default)
CC := $(CC_$(BUILD))
endif

OUT := build/$(BUILD)
VERSION := 0.1.0
PACKAGES := json-c openssl libcares
# On where it is installed; KAFKA= builds without. clang's ThreadSanitizer does not know the C11 threads of librdkafka.
ifeq ($(BUILD),tsan)
KAFKA :=
endif
KAFKA ?= $(shell pkg-config --exists rdkafka 2>/dev/null && echo 1)
WARN := -Wall -Wextra -Wconversion -Wswitch-enum -Wenum-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Wformat=2 -Wundef -Werror
HARDEN := -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fno-common
FLAGS_release := -O2 -g $(HARDEN)
FLAGS_clang := -O2 -g $(HARDEN)
FLAGS_debug := -O0 -g3 -fPIE -fstack-protector-strong -fno-common
FLAGS_asan := -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined -fPIE -fno-common
FLAGS_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread -fPIE -fno-common
FLAGS_fuzz := -O1 -g1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fPIE -fno-common
LINK_asan := -fsanitize=address,undefined
LINK_tsan := -fsanitize=thread
LINK_fuzz := -fsanitize=fuzzer,address,undefined

ifneq ($(KAFKA),)
PACKAGES += rdkafka
CPPFLAGS += -DHAVE_RDKAFKA
endif
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
CPPFLAGS += -I. -D_GNU_SOURCE -DSMTPTAP_VERSION='"$(VERSION)"' $(PKG_CFLAGS)
CFLAGS += -std=gnu11 $(WARN) $(FLAGS_$(BUILD)) -pthread
# No name of ours may stand before one of a library that we load: librdkafka has a SASL of its own.
LDFLAGS += -pie -Wl,-z,relro,-z,now -Wl,--exclude-libs,libproxy.a:libcommon.a $(LINK_$(BUILD)) -pthread
LDLIBS += $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lev -lcrypt -lm

COMMON_SRC := $(wildcard common/*.c common/*/*.c)
PROXY_SRC := $(filter-out proxy/main.c,$(wildcard proxy/*.c proxy/*/*.c))
UNIT_SRC := $(wildcard tests/unit/test_*.c)
SCENARIO_SRC := $(wildcard tests/scenario/*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
# The fuzz targets need nothing of a session's two legs, nor of what stands upon them.
FUZZED_SRC := $(filter-out $(addprefix proxy/,sink/% relay/client% relay/relay% relay/upstream% server%),$(PROXY_SRC))
obj = $(patsubst %.c,$(OUT)/%.o,$(1))

all: smtptap

# The link names the build that was asked for last.
smtptap: $(OUT)/smtptap FORCE
	@[ "$$(readlink $@)" = $< ] || ln -sf $< $@
FORCE:

$(OUT)/smtptap: $(OUT)/proxy/main.o $(OUT)/libproxy.a $(OUT)/libcommon.a
	@echo "  LD   $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/libcommon.a: $(call obj,$(COMMON_SRC))
$(OUT)/libproxy.a: $(call obj,$(PROXY_SRC))
$(OUT)/libfuzzed.a: $(call obj,$(FUZZED_SRC))
$(OUT)/%.a:
	@rm -f $@
	$(Q)ar rcs $@ $^

# Tests are compiled for less time, not for speed; what they test is optimized.
$(OUT)/tests/unit/%.o: OPTIMIZE := $(if $(filter asan tsan,$(BUILD)),-O0)

$(OUT)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC   $@"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(OPTIMIZE) -MMD -MP -c -o $@ $<

$(OUT)/tests/unit/%: $(OUT)/tests/unit/%.o $(OUT)/libproxy.a $(OUT)/libcommon.a
	@echo "  LD   $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

$(OUT)/tests/fuzz/%: $(OUT)/tests/fuzz/%.o $(OUT)/libfuzzed.a $(OUT)/libcommon.a
	@echo "  LD   $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/tests/scenario/run: $(call obj,$(SCENARIO_SRC)) $(OUT)/libcommon.a
	@echo "  LD   $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/tests/bench/%: $(OUT)/tests/bench/%.o $(OUT)/libproxy.a $(OUT)/libcommon.a
	@echo "  LD   $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

UNIT := $(patsubst %.c,$(OUT)/%,$(UNIT_SRC))
FUZZ := $(patsubst %.c,build/fuzz/%,$(FUZZ_SRC))
SCENARIO := $(if $(SCENARIO_SRC),$(OUT)/tests/scenario/run)

# What needs packages goes through one script; a second make then sees them.
setup-%:
	@deploy/setup.sh $*

demo: setup-build
	@$(MAKE) --no-print-directory -s all
	@./smtptap demo

test: setup-test
	@tests/run.sh short

test-long: setup-test
	@tests/run.sh long

test-stack: setup-stack
	@tests/stack/run.sh $(STACK)

lint: setup-test
	@tests/lint.sh

bench: setup-bench
	@$(MAKE) --no-print-directory -s all $(addprefix build/release/tests/bench/,smtp_load bench_record)
	@/usr/bin/python3 tests/bench/bench.py $(BENCH)

tests-build: $(OUT)/smtptap $(UNIT) $(SCENARIO)
fuzz-build:
	@$(MAKE) --no-print-directory BUILD=fuzz $(FUZZ)

install: $(OUT)/smtptap
	install -D -m 755 $(OUT)/smtptap $(DESTDIR)$(PREFIX)/bin/smtptap
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/smtptap/LICENSE
	install -D -m 644 README.md $(DESTDIR)$(PREFIX)/share/doc/smtptap/README.md

clean:
	rm -rf build smtptap

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
.PHONY: FORCE all demo test test-long test-stack lint bench tests-build fuzz-build install clean
