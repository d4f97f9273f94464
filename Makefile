# SPDX-License-Identifier: GPL-3.0-or-later
# Thin on purpose: each target calls one thing that can be called by hand as well.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

help: ## show what there is
	@sed -n 's/\$$\$$/$$/; s/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

deploy: .venv/.ready ## roll orbit-rs out: on the cluster that KUBECONFIG names, else on a kind cluster of our own
	@scripts/with-cluster ansible-playbook --inventory "$${ORBIT_RS_INVENTORY:-inventories/kind}" playbooks/deploy.yml

test: .venv/.ready ## everything, on a kind cluster of its own that is removed at the end
	@python -m scripts.verify test

check: .venv/.ready ## lint, types, unit and chart tests; no cluster
	@python -m scripts.verify check

soak: .venv/.ready ## faults at random moments, for an hour; ORBIT_RS_SEED=... repeats a run
	@python -m scripts.verify soak

env: .venv/.ready ## print shell lines for the same tools and cluster: eval "$$(make -s env)"
	@python -m testbed env
	@echo 'export PATH="$(CURDIR)/.venv/bin:$$PATH" ANSIBLE_CONFIG="$(ANSIBLE_CONFIG)"'

bench: .venv/.ready ## measure beside plain Helm, kubectl and restic; one part alone: make bench WHAT=deploy
	@for what in $(WHAT); do echo "== $$what"; scripts/with-cluster python -m bench.$$what || exit 1; done
WHAT ?= preflight plan deploy phases upgrade diagnosis fleet backup

clean: ## remove the cluster and everything that was made in this folder
	@if [ -x .venv/bin/python ]; then python -m testbed down; fi
	@$(remove)
remove := rm -rf .venv build .ansible .hypothesis .mypy_cache .pytest_cache .ruff_cache

clean-cache: .venv/.ready ## clean, and remove what all clones share: the user cache and the docker daemon of ours
	@python -m testbed down
	@python -m testbed clean-cache
	@$(remove)

lock: .venv/.ready ## pin the newest packages that pyproject.toml allows
	uv pip compile pyproject.toml --group dev --no-build $(lock-options) --output-file requirements.lock
	uv pip compile --group collections --no-deps $(lock-options) --output-file collections.lock
	uv pip compile $(meta)/ee-requirements.txt --no-build --no-annotate $(lock-options) --output-file $(meta)/ee-requirements.lock
meta := collections/ansible_collections/orbit/rs/meta
lock-options := --upgrade --universal --python-version 3.12 --generate-hashes --quiet --custom-compile-command "make lock"

# As a stamp it costs nothing when nothing has changed.
.venv/.ready: scripts/bootstrap requirements.lock collections.lock
	@scripts/bootstrap && touch $@

.PHONY: help deploy test check soak env bench clean clean-cache lock
