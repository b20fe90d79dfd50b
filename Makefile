# `make` lists what there is. CI runs what a person runs: `make test` and `make lint`.
GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   := -s -w -X main.version=$(VERSION)
STATIC    := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help build demo demo-grid test unit e2e lint baked test-images fmt bench fuzz cover package test-boot tools test-tools clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/addagent and bin/addctl, static and stripped
	@echo 'building bin/addagent and bin/addctl (the first time takes a minute or two)'
	@$(STATIC) -o bin/ ./cmd/addagent ./cmd/addctl

demo: bin/demo ## a throw-away grid below ./.demo: push, work, state files, log (KEEP=1 leaves it running)
	@exec bin/demo -dir .demo $(if $(KEEP),-keep)

demo-grid: bin/demo ## three agents, presence and a chat room below ./.demo: one wedges, one is killed (KEEP=1 leaves it running)
	@exec bin/demo -grid -dir .demo $(if $(KEEP),-keep)

bin/demo: build
	@$(STATIC) -o bin/ ./demo

test: test-tools ## install what the tests need, run them all
	@$(GO) vet ./...
	@$(GO) test -race -timeout 25m ./...

unit: ## the packages' own tests, without the race detector
	@$(GO) test -short ./...

package: ## .deb and .rpm for amd64 and arm64 into dist/ (ARCHES=amd64 FORMATS=deb for less)
	@GO='$(GO)' VERSION='$(VERSION)' sh packaging/build.sh

test-boot: ## machines that really boot, with the package, under systemd (needs root; installs what it needs)
	@sh test/boot/tools.sh
	@$(GO) test -tags boot -count 1 -timeout 25m -v ./test/boot

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
	@$(GO) test -tags images -count=1 ./packer/

fmt: ## gofmt everything
	@gofmt -w $$(git ls-files '*.go')

bench: build ## side by side with git, in one run: docs/performance.md (QUICK=1: without what is large; ONLY=presence: cases whose names match)
	@CGO_ENABLED=0 $(GO) run ./test/bench -addagent bin/addagent $(if $(QUICK),-quick) $(if $(ONLY),-only '$(ONLY)') $(if $(MD),-md $(MD))

fuzz: ## every fuzz target for ten seconds
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
		echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 10s -fuzzminimizetime 10x $$p || exit 1; done; done

cover: ## coverage of the unit tests
	@$(GO) test -short -cover ./...

test-tools: ## what the tests need beyond Go, make and git
	@sh test/tools.sh

clean: ## remove what the targets above made
	@rm -rf bin dist .demo .bench
