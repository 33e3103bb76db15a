# A thin cover over CMake: make help says what there is. The compiler is the system's, or CC=...;
# WERROR=ON makes warnings errors; JOBS=n is how much runs at once.
BUILD = build/release
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PREFIX ?= /usr/local
N ?= 20
LABELS ?= .

configure = cmake -S . -B $(BUILD) $(if $(WERROR),-DRUNNEL_WERROR=$(WERROR)) $(CMAKE_FLAGS)
ctest = ctest --output-on-failure --no-tests=error -j$(JOBS)
make_preset = cmake --preset $(1) && cmake --build build/$(1) -j$(JOBS)

.PHONY: all help run test test-asan test-tsan test-aarch64 stress bench install format check man \
    clean

all: ## the library, the command and their man pages
	@tools/deps.sh build
	$(configure)
	cmake --build $(BUILD) -j$(JOBS) --target runnel libraries man

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t16

run: ## builds the command and hashes every tracked file with it
	@tools/deps.sh build
	$(configure)
	cmake --build $(BUILD) -j$(JOBS) --target runnel
	@tools/run.sh $(BUILD)/runnel

test: ## builds everything and runs every test
	@tools/deps.sh build test
	$(configure) -DRUNNEL_TESTS=ON
	cmake --build $(BUILD) -j$(JOBS)
	$(ctest) --test-dir $(BUILD)

test-asan: ## the tests with AddressSanitizer and UBSan
	@tools/deps.sh build test sanitizers
	$(call make_preset,asan)
	$(ctest) --test-dir build/asan

test-tsan: ## the tests with ThreadSanitizer
	@tools/deps.sh build test sanitizers
	$(call make_preset,tsan)
	$(ctest) --test-dir build/tsan

test-aarch64: ## the core's tests built for aarch64 and run under qemu-user, with 1 and 2 workers
	@tools/deps.sh build test aarch64
	$(call make_preset,aarch64)
	$(ctest) --test-dir build/aarch64 -L core -R '\.w[12]$$' $(AARCH64_FLAGS)

stress: ## each test N=20 times, with short loops, with each number of workers; BUILD=build/tsan, LABELS=core ...
	@tools/deps.sh build test
	@[ $(BUILD) != build/release ] || $(configure) -DRUNNEL_TESTS=ON
	cmake --build $(BUILD) -j$(JOBS)
	TEST_SHORT=1 $(ctest) --test-dir $(BUILD) -R '\.w[0-9]+$$' -L '$(LABELS)' --repeat until-fail:$(N)

bench: ## measures and writes bench/RESULTS.md
	@tools/deps.sh build
	@tools/deps.sh bench || echo "Going on without it."
	bench/run.sh

install: ## into PREFIX=/usr/local, below DESTDIR=
	@tools/deps.sh build
	$(configure) -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	cmake --build $(BUILD) -j$(JOBS) --target runnel libraries man
	DESTDIR=$(DESTDIR) cmake --install $(BUILD)
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" -ne 0 ] || ldconfig

format: ## gives the C files their shape
	@tools/deps.sh format
	tools/format.sh

check: all ## what CI holds against the tree without running it
	@tools/deps.sh format man
	@tools/check.sh $(BUILD)

man: ## the man pages, in build/release/man
	@tools/deps.sh build
	$(configure)
	cmake --build $(BUILD) --target man

clean: ## away with build/
	rm -rf build
