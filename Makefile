# Everything a person does with this checkout. `make help` lists it.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.set-up
DEV_SETUP := $(VENV)/.set-up-to-develop
LIBVIRT := $(VENV)/.set-up-libvirt
PIN := $(BIN)/uv pip compile --quiet --generate-hashes --python-version 3.11 --no-header --no-emit-index-url
# Two test processes share the two cores of a small machine; more of them help where there are more.
JOBS ?= auto

.DEFAULT_GOAL := help
.PHONY: help setup libvirt demo demo-ad test check format docs screenshots bench chaos lock clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  \033[1mmake %-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DEV_SETUP)  ## Make .venv with everything in it (the other targets do this when needed)

# Debian splits the venv module off: install it where we may, say so where we may not.
$(SETUP): requirements.lock pyproject.toml Makefile src/deskwright/web/packages/package-lock.json
	@command -v $(PYTHON) >/dev/null || { echo "Deskwright needs Python 3.11 or newer; set PYTHON=... to name yours."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv module is missing; installing the package python3-venv."; \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null; \
	  elif sudo -n true 2>/dev/null; then sudo apt-get update -qq && sudo apt-get install -qq -y python3-venv >/dev/null; \
	  else echo "This needs an administrator: sudo apt install python3-venv"; exit 1; fi; }
	@echo "Setting up $(VENV) (about a minute, once) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@$(BIN)/python -m deskwright.web.packages
	@touch $@

# Installs packages of the system where it may: $(call packages,what they are for,names,what will not work without).
define packages
missing=""; for p in $(2); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  echo "Missing for $(1):$$missing"; \
	  if ! command -v apt-get >/dev/null; then echo "There is no apt-get here: $(3)"; \
	  elif [ "$$(id -u)" = 0 ]; then echo "Installing them with apt-get ..."; apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	  elif sudo -n true 2>/dev/null; then echo "Installing them with sudo apt-get ..."; sudo apt-get update -qq && \
	    sudo DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	  else echo "This needs an administrator: sudo apt install$$missing"; echo "Without: $(3)"; fi; fi
endef

HYPERVISOR := libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils dnsmasq-base ovmf swtpm swtpm-tools iproute2
IMAGE_TOOLS := mmdebstrap e2fsprogs fakeroot uidmap
BINDING := libvirt-dev pkg-config gcc libc6-dev

# A hypervisor, what images are built with, and the Python binding, which is built against the system's library.
$(LIBVIRT): $(SETUP) requirements-libvirt.lock
	@$(call packages,real machines,$(HYPERVISOR) $(IMAGE_TOOLS) $(BINDING),sites of kind libvirt cannot be used)
	@$(PYTHON) -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || \
	  { $(call packages,the Python binding of libvirt,python3-dev,sites of kind libvirt cannot be used); }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-libvirt.lock
	@touch $@

libvirt: $(LIBVIRT)  ## What real machines need: libvirt, QEMU, and the Python binding

# The same for packages that would start servers on this machine, now and after its next start: $(call servers,...,units).
define servers
quiet=/usr/sbin/policy-rc.d; as=; [ "$$(id -u)" = 0 ] || as="sudo -n"; mine=; \
	if ! dpkg -s $(2) >/dev/null 2>&1 && [ ! -e $$quiet ] && $$as true 2>/dev/null; then \
	  mine=1; trap "$$as rm -f $$quiet" EXIT INT TERM; \
	  printf '#!/bin/sh\nexit 101\n' | $$as tee $$quiet >/dev/null; $$as chmod 755 $$quiet; fi; \
	$(call packages,$(1),$(2),$(3)); \
	if [ -n "$$mine" ] && [ -d /run/systemd/system ]; then $$as systemctl disable --quiet $(4) 2>/dev/null || true; fi
endef

# Joining a domain from here, and a domain controller for the demo and the tests, which runs in namespaces of its own.
CONTROLLER := samba samba-ad-dc samba-ad-provision winbind krb5-user adcli iproute2
controller = $(call servers,a domain controller,$(CONTROLLER),a domain cannot be tried on this machine,smbd nmbd winbind samba-ad-dc)

# What tests and checks need on top; the official Graph SDKs are most of it. Tests of the pages need a browser, those of
# the guest's scripts what they are executed by.
$(DEV_SETUP): $(LIBVIRT) requirements-dev.lock
	@echo "Adding what tests need (one to two minutes, once) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m deskwright.web.packages --tests tests/web/vendor
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  $(call packages,the tests of pages,chromium,tests in tests/web that use a screen will fail); }
	@$(controller)
	@$(call packages,the tests of what runs inside a guest,nftables sudo wine wine64 iproute2,tests in tests/guest will fail)
	@$(call packages,the tests of clocks,faketime,some tests in tests/reconcile and tests/active_directory will fail)
	@$(call servers,the tests of remote sessions and of remote hosts,xrdp openssh-server,some tests in tests/libvirt will fail,xrdp xrdp-sesman ssh)
	@touch $@

demo: $(SETUP) $(if $(filter libvirt,$(COMPUTE)),$(LIBVIRT))  ## The main job, visibly (KEEP=1 leaves it running, COMPUTE=libvirt makes real machines)
	@$(BIN)/deskwright demo $(if $(KEEP),--keep) $(if $(COMPUTE),--compute $(COMPUTE))

demo-ad: $(SETUP) $(if $(filter libvirt,$(COMPUTE)),$(LIBVIRT))  ## Hybrid join to a real domain controller made for it (COMPUTE=libvirt: by a real machine)
	@$(controller)
	@$(BIN)/deskwright demo --directory activedirectory $(if $(COMPUTE),--compute $(COMPUTE))

test: $(DEV_SETUP)  ## The tests
	@$(BIN)/pytest -q -n $(JOBS)

check: $(DEV_SETUP)  ## Types, lint, import directions, generated pages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m deskwright.reference --check docs/reference

format: $(DEV_SETUP)  ## Format the code, mend what the linter can
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

docs: $(DEV_SETUP)  ## Generate the reference pages from the code
	@$(BIN)/python -m deskwright.reference docs/reference

screenshots: $(DEV_SETUP)  ## The README's pictures, from real demo runs; and every page, in build/screenshots
	@$(BIN)/python docs/pictures/make.py
	@$(BIN)/python docs/pictures/screenshots.py
	@DESKWRIGHT_SHOTS=build/screenshots $(BIN)/pytest -q -n $(JOBS) tests/web/test_every_page.py -k silent

bench: $(DEV_SETUP)  ## Speed and memory, as ratios in one run
	@$(BIN)/python -m bench

chaos: $(DEV_SETUP)  ## Kill workers and the database at every step, and count what is lost, doubled or leaked (JSON=1)
	@$(BIN)/python -m bench.chaos $(if $(JSON),--json)

lock: $(DEV_SETUP)  ## Pin the dependencies anew
	@$(PIN) --upgrade pyproject.toml --group build --output-file requirements.lock
	@$(PIN) pyproject.toml --extra libvirt --constraint requirements.lock --output-file requirements-libvirt.lock
	@$(PIN) pyproject.toml --group dev --extra libvirt --constraint requirements.lock --output-file requirements-dev.lock

clean:  ## Remove what was made here
	rm -rf $(VENV) src/deskwright/web/static/vendor tests/web/vendor .demo .mypy_cache .ruff_cache .hypothesis
