# `make up` runs Capstan on this machine, `make test` proves it; both need only Python 3.11 to 3.13 and make.
#
#   make up [MODEL=folder] [PORT=8000]    install, start, print the address and a first API key
#   make down | status | logs             stop it; what runs; what it said
#   make test [ARGS="tests/unit -k …"]    install what the tests need and run them
#   make test-cluster                     on the Kubernetes that CAPSTAN_TEST_KUBECONFIG names, images in it already
#   make images [BUILD=docker]            build the images of the services, of the engine on CPU, and of the stores
#   make check                            only what reads the tree: style, types, layers, generated files
#   make protos | lock                    generate the stubs; resolve the lock files
#
# PYTHON=python3.12 names the Python; TORCH_INDEX_URL=… a package index that has PyTorch's CPU build;
# CAPSTAN_DATA_DIR=… where the data is (default: .capstan here).

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

# The first that answers and is new enough; `python3` itself before its siblings, because it is the user's choice.
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
	$$each -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && echo $$each && exit; \
	done; echo python3)

CAPSTAN = .venv/bin/capstan
UP_ARGS = $(if $(MODEL),--model "$(MODEL)") $(if $(PORT),--port "$(PORT)")
ARGS ?=
BUILD ?= docker
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

.PHONY: up down status logs test test-cluster images check protos lock clean
.DEFAULT_GOAL := up

up:
	@$(PYTHON) -m tools.install cpu && exec $(CAPSTAN) up $(UP_ARGS)

down:
	@test -x $(CAPSTAN) && exec $(CAPSTAN) down || echo "Nothing is installed here, so nothing runs."

status:
	@exec $(CAPSTAN) status

logs:
	@exec $(CAPSTAN) logs --follow

test:
	@$(PYTHON) -m tools.install dev && exec .venv/bin/python -m pytest $(ARGS)

test-cluster:
	@$(PYTHON) -m tools.install dev && exec .venv/bin/python -m pytest tests/cluster -p no:cacheprovider $(ARGS)

images:
	$(BUILD) build --target services -t capstan-services:$(VERSION) .
	$(BUILD) build --target stores -t capstan-stores:$(VERSION) .
	$(BUILD) build --target inference --build-arg ENGINE=cpu --build-arg TORCH_INDEX_URL=$(TORCH_INDEX_URL) \
		-t capstan-inference:$(VERSION)-cpu .

check:
	@$(PYTHON) -m tools.install dev && exec .venv/bin/python -m pytest tests/unit/tree $(ARGS)

protos:
	@$(PYTHON) -m tools.install dev && exec .venv/bin/python -m tools.genproto

lock:
	@exec $(PYTHON) -m tools.lock

clean: down
	rm -rf .venv .venv.lock .venv.log build *.egg-info
