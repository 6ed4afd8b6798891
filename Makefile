# make run    install what is missing, build, start a development node
# make test   everything that has to hold; .ci/run calls it
# make bench  the benchmarks, their figures last
#
# make test-web       part of make test: the browser client and the page: types, lints, unit tests, build
# make test-browsers  part of make test: the page in Chromium and Firefox against the server
# make test-foreign   part of make test: clients written from docs/PROTOCOL.md alone, against the server
#
# One profile (release) for all three, and RocksDB's C++, about 14 minutes on two cores, once per machine
# (scripts/rocksdb.sh). Therefore the build directory is outside of the checkout, and every checkout shares it.

export CARGO_TARGET_DIR ?= $(or $(HOME),/tmp)/.cache/loquic/target

.PHONY: run build test test-faults test-web test-browsers test-foreign bench setup

run: build
	@scripts/run.sh

build: setup
	@scripts/page.sh
	@scripts/cargo.sh build --release --locked -p loquic -p loquic-loadgen --bins

test: setup
	@scripts/test.sh

# Kills, power loss and full disks alone; figures as they come.
test-faults: setup
	@scripts/cargo.sh test --release --locked --features failpoints --test faults -- --nocapture --test-threads=1

test-web:
	@scripts/test_web.sh

test-browsers: build test-web
	@scripts/test_browsers.sh

test-foreign: build
	@scripts/test_foreign.sh

bench: setup
	@scripts/bench.sh

setup:
	@scripts/setup.sh
