# SPDX-License-Identifier: Apache-2.0
# The front door. `make help` lists the targets.

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
CARGO ?= cargo
# The Python that the examples, the tests and the benchmark use. The module's own default is fixed when it is built:
# see MOD_WSGI_RS_PYTHON in build.rs.
PYTHON ?= $(if $(wildcard /usr/bin/python3),/usr/bin/python3,python3)
PORT ?= 8000
PREFIX ?= /usr
DESTDIR ?=
APXS ?= $(shell command -v apxs || command -v apxs2 || echo apxs)

TARGET := $(if $(CARGO_TARGET_DIR),$(abspath $(CARGO_TARGET_DIR)),$(ROOT)/target)
MODULE := $(TARGET)/module/mod_wsgi_rs.so
PEER := $(ROOT)/target/reference/venv

export MOD_WSGI_RS_LIBEXECDIR ?= $(PREFIX)/libexec/mod_wsgi_rs
export APXS

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Variables: PORT=8000 PYTHON=/usr/bin/python3 PREFIX=/usr DESTDIR= QUICK=1 (bench)"

.PHONY: serve
serve: need-serve build-module ## serve the example applications on 127.0.0.1:PORT until Ctrl-C
	@$(PYTHON) examples/serve.py --module $(MODULE) --port $(PORT) --python $(PYTHON)

.PHONY: build
build: need-build build-module ## build the module and its runtime into target/module

.PHONY: build-module
build-module:
	$(CARGO) build --release --locked -p mod_wsgi_rs -p wsgi-runtime -p wsgi-supervisor
	@packaging/place.sh $(TARGET)/release/lib_mod_wsgi_rs.so $(TARGET)/module _mod_wsgi_rs.abi3.so
	@packaging/place.sh $(TARGET)/release/wsgi-supervisor $(TARGET)/module wsgi-supervisor
	@packaging/place.sh $(TARGET)/release/libmod_wsgi_rs.so $(TARGET)/module

.PHONY: module-path
module-path: ## print the path of the module that `make build` builds (with make -s)
	@echo $(MODULE)

.PHONY: runtime
runtime: need-build ## build the runtime exactly for one interpreter: PYTHON=/path/to/python
	@packaging/runtime.sh $(PYTHON) $(TARGET)

.PHONY: test
test: need-test build-module peer check loom ## install what is missing, build, run every test
	@rm -f $(TARGET)/skipped.txt
	MOD_WSGI_RS_MODULE=$(MODULE) MOD_WSGI_RS_SKIPPED=$(TARGET)/skipped.txt $(CARGO) test --locked --workspace
	$(PYTHON) examples/test_serve.py --module $(MODULE) --python $(PYTHON)
	@if [ -s $(TARGET)/skipped.txt ]; then sort -u $(TARGET)/skipped.txt; fi

.PHONY: check
check: need-build ## formatting and lints only
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets --workspace -- -D warnings

# The peer that the differential tests and the benchmark compare with.
.PHONY: peer
peer:
	@packaging/peer.sh $(PYTHON) $(PEER)

.PHONY: loom
loom: ## try every order of the steps of admission
	RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 CARGO_TARGET_DIR=$(TARGET)/loom $(CARGO) test -q --release --locked -p wsgi-model --lib admission

.PHONY: reference
reference: ## write docs/reference from the directive and event tables
	$(CARGO) run -q --locked -p wsgi-model --example reference docs/reference

.PHONY: bench
bench: need-bench build-module ## compare speed of both modes with mod_wsgi 6.1.1, a C handler, uWSGI, granian; QUICK=1
	$(PYTHON) benches/bench.py --module $(MODULE) --python $(PYTHON) $(if $(QUICK),--quick) $(BENCH)

.PHONY: bench-static
bench-static: need-bench build-module ## CPU per static file without and with a module; QUICK=1 BENCH=--instructions
	$(PYTHON) benches/static.py --module $(MODULE) --python $(PYTHON) $(if $(QUICK),--quick) $(BENCH)

.PHONY: bench-aliases
bench-aliases: ## how long a URL takes to find its alias among 2,000
	$(CARGO) run -q --release --locked -p wsgi-model --example aliases

# FUZZ_SECONDS is for each of the targets, FUZZ names some of them.
FUZZ_SECONDS ?= 600

.PHONY: fuzz
fuzz: need-fuzz ## fuzz rules and frames, 600 s for each target; FUZZ_SECONDS=20 FUZZ="aliases control"
	@packaging/fuzz.sh run $(FUZZ_SECONDS) $(TARGET) $(FUZZ)

.PHONY: fuzz-planted
fuzz-planted: need-fuzz ## show that each fuzz target finds the bug that is planted for it
	@packaging/fuzz.sh planted $(FUZZ_SECONDS) $(TARGET) $(FUZZ)

.PHONY: callgrind
callgrind: need-callgrind build-module ## count instructions per request of both modes; BENCH="--mode daemon"
	$(PYTHON) benches/callgrind.py --module $(MODULE) --python $(PYTHON) $(BENCH)

SOAK ?= 100

.PHONY: soak
soak: need-soak build-module ## hours: memory over 200,000 requests, 200 kills, 1,000 restarts, reloads, limits; SOAK=10 (percent)
	$(PYTHON) benches/soak.py --module $(MODULE) --python $(PYTHON) $(BENCH)
	MOD_WSGI_RS_MODULE=$(MODULE) MOD_WSGI_RS_KILLS=200 $(CARGO) test --locked --test kills -- --nocapture
	MOD_WSGI_RS_MODULE=$(MODULE) MOD_WSGI_RS_SOAK=$(SOAK) $(CARGO) test --locked --test soak -- --nocapture --test-threads=1

.PHONY: valgrind
valgrind: need-valgrind build-module ## the functional suite under valgrind
	@if [ -x tests/valgrind.sh ]; then MOD_WSGI_RS_MODULE=$(MODULE) tests/valgrind.sh; else echo "tests/valgrind.sh is missing" >&2; exit 1; fi

.PHONY: install
install: need-build build-module ## install the module, its runtime and its configuration (DESTDIR, PREFIX)
	@DESTDIR=$(DESTDIR) packaging/install.sh $(TARGET)/module $(MOD_WSGI_RS_LIBEXECDIR)

.PHONY: clean
clean: ## remove everything that was built
	rm -rf $(ROOT)/target $(TARGET)/module
	$(CARGO) clean

need-%:
	@packaging/prerequisites.sh $* $(PYTHON)
