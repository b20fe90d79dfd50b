# `make` lists what there is. CI runs what a person runs: `make lint`, `make test` and `make test-all`.
GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
RELEASE   ?= $(shell git describe --tags --exact-match 2>/dev/null)
LDFLAGS   := -s -w -X github.com/addagent/addagent/internal/cli.version=$(VERSION)
# Without HTTP/2, which nothing here needs: half a megabyte.
STATIC    := CGO_ENABLED=0 $(GO) build -trimpath -tags nethttpomithttp2 -ldflags '$(LDFLAGS)'
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help build demo demo-grid demo-services test test-all lint baked test-images fmt bench fuzz cover package release test-boot test-tools test-all-tools clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/addagent and bin/addctl, static and stripped
	@echo 'building bin/addagent and bin/addctl (the first time takes a minute or two)'
	@$(STATIC) -o bin/ ./cmd/addagent ./cmd/addctl

demo: bin/demo ## a throw-away grid below ./.demo: push, work, state files, log (KEEP=1 leaves it running)
	@exec bin/demo -dir .demo $(if $(KEEP),-keep)

demo-grid: bin/demo ## three agents, presence and a chat room below ./.demo: one wedges, one is killed (KEEP=1 leaves it running)
	@exec bin/demo -grid -dir .demo $(if $(KEEP),-keep)

demo-services: bin/demo ## six agents, a doctor and haproxy below ./.demo: a service is taken away, a master dies (KEEP=1 leaves it running)
	@sh test/tools.sh demo-services
	@exec bin/demo -services examples/database -dir .demo $(if $(KEEP),-keep)

bin/demo: build
	@$(STATIC) -o bin/ ./demo ./demo/stand-in

# The packages that take longest come first, so that the others fill the gaps.
FIRST := ./test/torture ./internal/git/clone ./internal/git/remote ./presence/fold ./work/run ./internal/git/worktree

# Without cgo, as the programs are built that some tests start: everything is compiled once.
test lint: export CGO_ENABLED := 0

# With more packages at once than cores: most tests wait, for a process, a server or a beat. go vet is part of make lint.
test: test-tools ## install what the tests need, run what a change could break: five to eight minutes on two cores
	@TMPDIR=$$(sh test/memory.sh) $(GO) test -short -vet=off -p 4 -timeout 30m $(FIRST) ./...
	@sh test/left-out.sh

# Its deadlines are for a machine with twenty other things to do. The torture tests start a program that has no race detector.
# They run on the real disk here, the rest in memory.
test-all: test-all-tools ## all of it: images, machines that boot, the long tests, the race detector
	@if sh test/tools.sh images; then $(MAKE) --no-print-directory baked test-images; else echo 'test-all: no images are baked here, see the line above'; fi
	@if sh test/boot/tools.sh; then $(MAKE) --no-print-directory test-boot; else echo 'test-all: no machines are booted here, see the line above'; fi
	@$(GO) test -timeout 120m ./test/torture
	@TMPDIR=$$(sh test/memory.sh) $(GO) test -race -p 4 -timeout 120m $$($(GO) list ./... | grep -v /test/torture)

package: ## .deb and .rpm for amd64 and arm64 into dist/ (ARCHES=amd64 FORMATS=deb for less)
	@GO='$(GO)' VERSION='$(VERSION)' sh packaging/build.sh

release: ## archives for four platforms, packages, SBOMs, install.sh, notes and SHA256SUMS into dist/, for the tag of HEAD
	@GO='$(GO)' VERSION='$(RELEASE)' sh packaging/release.sh

test-boot: ## machines that really boot, with the package, under systemd (needs root; installs what it needs)
	@sh test/boot/tools.sh
	@$(GO) test -tags boot -count 1 -timeout 120m -v ./test/boot

lint: ## gofmt, go vet for Linux, arm64 and darwin, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'lint: run make fmt'; exit 1; }
	@$(GO) vet ./...
	@GOARCH=arm64 $(GO) build ./...
	@GOOS=darwin $(GO) vet ./...
	@$(GO) vet -tags boot ./test/boot
	@$(GO) run $(STATICCHECK) ./...
	@echo 'lint: clean'

baked: ## check the templates of CloudFormation, Packer and Vagrant with their own tools
	@sh test/baked.sh

test-images: ## bake an AMI in moto, as root, in a file system that is thrown away (needs packer, moto_server, sshd)
	@$(GO) test -tags images -count 1 -timeout 120m ./packer/

fmt: ## gofmt everything
	@gofmt -w $$(git ls-files '*.go')

bench: build ## side by side with git, in one run: docs/performance.md (QUICK=1: without what is large; ONLY=presence: cases whose names match)
	@CGO_ENABLED=0 $(GO) run ./test/bench -addagent bin/addagent $(if $(QUICK),-quick) $(if $(ONLY),-only '$(ONLY)') $(if $(MD),-md $(MD))

fuzz: ## every fuzz target for ten seconds
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
		echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 10s -fuzzminimizetime 10x $$p || exit 1; done; done

cover: ## coverage of the unit tests
	@$(GO) test -short -cover ./...

test-tools: ## what make test needs beyond Go, make and git
	@sh test/tools.sh

test-all-tools: ## what make test-all needs, too
	@sh test/tools.sh all

clean: ## remove what the targets above made
	@rm -rf bin dist .demo .bench
