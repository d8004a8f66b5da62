# `make demo` and `make test` do all the set-up they need; `make help` lists the rest.
PYTHON ?= python3
# The version that is tested. TORCH="torch==X" takes another, for example the build of your CUDA.
TORCH ?= torch==2.13.0
TORCHVISION ?= torchvision==0.28.0
MAX_JOBS ?= $(shell nproc 2>/dev/null || echo 2)
# Tests run in as many processes as there are cores, each with one thread.
JOBS ?= $(MAX_JOBS)
PIP = -m pip --disable-pip-version-check -q
LINES = onedl upstream

.PHONY: help demo demo-det benchmark test test-compiled test-extras test-mim test-package campaign chromium doctor \
	page docs matrix tutorials lint format clean \
	$(LINES:%=test-%) $(LINES:%=test-compiled-%) $(LINES:%=env-%)

help:
	@echo 'make demo           draw a data set, train UperNet with CoaT-Lite Small on it, show the result'
	@echo 'make demo-det       the same with Mask R-CNN on drawn COCO images'
	@echo 'make test           all tests on the OneDL line, on upstream OpenMMLab those that depend on it'
	@echo 'make test-onedl     tests on the OneDL line only (test-upstream: on the other, without ops, docs, benchmarks)'
	@echo 'make test-compiled  detection and operators once more, with MMCV compiled (10 minutes each line, once)'
	@echo 'make test-extras    export, the page in a browser, grad-cam, Captum, segmentation_models_pytorch'
	@echo 'make test-mim       every command of openmim and onedl-mim on mmcoat'
	@echo 'make test-package   wheel and sdist, installed and used outside the checkout'
	@echo 'make campaign       bad inputs, kills of trainings, faults put into the code; run before a release'
	@echo 'make page           a page in the browser to try the demos and the published models on'
	@echo 'make doctor         what is installed, what runs, and what mends the rest'
	@echo 'make env-onedl      only the environment .venv-onedl (env-upstream: .venv-upstream)'
	@echo 'make benchmark      speed and memory against timm and Swin-T (BENCHMARK_ARGS="--archs lite_small --sizes 512")'
	@echo 'make docs           the documentation as a site in build/site; warnings are errors'
	@echo 'make lint           style, import rules, types, spelling: the same as in CI and pre-commit'
	@echo 'make format         let ruff format the code'
	@echo 'make clean          remove the environments and what they hold'

# ---------------------------------------------------------------- the demo

# On CPU a step allocates and frees large buffers: let malloc keep them instead of asking the kernel each time.
KEEP_MEMORY = MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=-1 MALLOC_TOP_PAD_=268435456

# No compiler is needed: built without torch in sight, onedl-mmcv has no operators and is there in seconds, and
# mmcoat.compat has those that our configs use. No pip cache, in which such a build and a compiled one are the
# same wheel.
.venv/.installed: setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "mmcoat needs Python 3.10 or newer, $(PYTHON) is %d.%d; try make PYTHON=python3.11" % sys.version_info[:2])'
	@echo '[install] virtual environment .venv'
	@$(PYTHON) -m venv --clear .venv
	@.venv/bin/python $(PIP) install --upgrade pip
	@echo '[install] $(TORCH)'
	@.venv/bin/python $(PIP) install '$(TORCH)'
	@echo '[install] MMEngine, MMCV, MMSegmentation, MMDetection (OneDL line) and mmcoat'
	@.venv/bin/python $(PIP) install --no-cache-dir 'onedl-mmcv>=2.3.6,<2.4'
	@.venv/bin/python $(PIP) install -e '.[onedl]'
	@touch $@

demo: .venv/.installed
	@$(KEEP_MEMORY) .venv/bin/python tools/demo.py $(DEMO_ARGS)

demo-det: .venv/.installed
	@$(KEEP_MEMORY) .venv/bin/python tools/demo_det.py $(DEMO_ARGS)

# ---------------------------------------------------------------- tests

# MMPretrain imports torchvision, whose wheel is a CUDA build and breaks MMDetection and MMEngine beside a CPU
# build of torch. So the two lie in a folder of their own, which only the classification tests see.
define install_mmpretrain
	@$(2)/bin/python $(PIP) install --no-deps --upgrade --target $(2)/classification '$(1)' '$(TORCHVISION)'
endef

# A CPU build of torch comes without Triton; in its interpreter the fused kernels are tested on CPU.
define install_triton
	@$(1)/bin/python -c 'import triton' 2>/dev/null || $(1)/bin/python $(PIP) install --no-deps triton==3.9.0
endef

MMCV_onedl = onedl-mmcv==2.3.6
MMCV_upstream = mmcv==2.1.0

# MMCV without operators, as most users have it: its build leaves them out where it sees no torch. (Upstream's with
# MMCV_WITH_OPS=0 calls itself mmcv-lite, and no longer is what others ask for.)
.venv-onedl/.installed: setup.cfg tests/requirements.txt
	@echo '[install] environment .venv-onedl'
	@$(PYTHON) -m venv --clear .venv-onedl
	@.venv-onedl/bin/python $(PIP) install --upgrade pip
	@.venv-onedl/bin/python $(PIP) install '$(TORCH)' 'setuptools<81' wheel
	@.venv-onedl/bin/python $(PIP) install --no-cache-dir $(MMCV_onedl)
	@.venv-onedl/bin/python $(PIP) install -e '.[onedl,test,benchmark]' -r tests/requirements.txt
	$(call install_mmpretrain,onedl-mmpretrain==1.3.6,.venv-onedl)
	$(call install_triton,.venv-onedl)
	@touch $@

.venv-upstream/.installed: setup.cfg tests/requirements.txt
	@echo '[install] environment .venv-upstream'
	@$(PYTHON) -m venv --clear .venv-upstream
	@.venv-upstream/bin/python $(PIP) install --upgrade pip
	@.venv-upstream/bin/python $(PIP) install 'numpy<2' 'opencv-python<4.12' 'setuptools<81' wheel
	@.venv-upstream/bin/python $(PIP) install --no-cache-dir --no-build-isolation $(MMCV_upstream)
	@.venv-upstream/bin/python $(PIP) install '$(TORCH)'
	@.venv-upstream/bin/python $(PIP) install -e '.[openmmlab,test,benchmark]' -r tests/requirements.txt
	$(call install_mmpretrain,mmpretrain==1.2.0,.venv-upstream)
	$(call install_triton,.venv-upstream)
	@touch $@

# MMCV with compiled operators, in a folder that only the tests below see: about 10 minutes on 2 cores, once, for
# pip keeps the wheel. A wheel without operators in its cache is noticed and built anew.
define install_compiled
	@echo '[install] $(1) with compiled operators; the first time this takes about 10 minutes on 2 cores'
	@.venv-$*/bin/python $(PIP) install ninja psutil
	@MMCV_WITH_OPS=1 MAX_JOBS=$(MAX_JOBS) .venv-$*/bin/python $(PIP) install --no-build-isolation --no-deps \
		--upgrade --target .venv-$*/compiled '$(1)'
	@ls .venv-$*/compiled/mmcv/_ext* >/dev/null 2>&1 || MMCV_WITH_OPS=1 MAX_JOBS=$(MAX_JOBS) .venv-$*/bin/python $(PIP) \
		install --no-build-isolation --no-deps --no-cache-dir --upgrade --target .venv-$*/compiled '$(1)'
	@PYTHONPATH=.venv-$*/compiled .venv-$*/bin/python -c 'import torch, mmcv._ext' || \
		{ echo 'MMCV has no compiled operators: is a C++ compiler there?'; exit 1; }
endef

$(LINES:%=.venv-%/compiled/.installed): .venv-%/compiled/.installed: .venv-%/.installed
	$(call install_compiled,$(MMCV_$*))
	@touch $@

$(LINES:%=env-%): env-%: .venv-%/.installed

# What knows nothing of the line runs on one of them: the operators (the same PyTorch and Triton on both), the speed
# benchmarks, and the documentation's blocks, which are written for OneDL.
LEFT_OUT_upstream = tests/ops tests/benchmarks tests/docs

$(LINES:%=test-%): test-%: .venv-%/.installed
	@echo '[test] $* line'
	@OMP_NUM_THREADS=1 .venv-$*/bin/python -m pytest -n $(JOBS) --dist worksteal \
		$(addprefix --ignore=,tests/classification $(LEFT_OUT_$*)) $(PYTEST_ARGS)
	@echo '[test] $* line, classification'
	@OMP_NUM_THREADS=1 PYTHONPATH=.venv-$*/classification .venv-$*/bin/python -m pytest -n $(JOBS) --dist worksteal \
		tests/classification tests/engine/test_optimizers.py

test: test-onedl test-upstream

# What uses MMCV's operators, once more on the compiled ones, and those compared with mmcoat.compat's.
$(LINES:%=test-compiled-%): test-compiled-%: .venv-%/compiled/.installed
	@echo '[test] $* line, compiled operators'
	@OMP_NUM_THREADS=1 PYTHONPATH=.venv-$*/compiled .venv-$*/bin/python -m pytest -n $(JOBS) --dist worksteal \
		tests/compat tests/detection tests/analysis/test_flops.py tests/test_metafile.py

test-compiled: $(LINES:%=test-compiled-%)

# What the extras bring, in an environment on top of the OneDL line's. Some of their packages want torchvision,
# which lies apart (see above) and must not come with them.
.venv-onedl/extras/.installed: .venv-onedl/.installed setup.cfg tests/extras.txt
	@echo '[install] the extras export, page, tiff and hub, grad-cam, Captum, timm, segmentation_models_pytorch'
	@$(PYTHON) -m venv --clear .venv-onedl/extras
	@. tests/throwaway.sh; stack .venv-onedl/extras .venv-onedl/bin/python
	@.venv-onedl/extras/bin/python $(PIP) install -e '.[export,page,tiff,hub]' playwright scikit-learn tensorboard
	@.venv-onedl/extras/bin/python $(PIP) install --no-deps -r tests/extras.txt
	@touch $@

# A browser for the page: Debian's, where there is none and one may install it.
chromium:
	@command -v chromium google-chrome >/dev/null || { apt-get -qq update && \
		DEBIAN_FRONTEND=noninteractive timeout 600 apt-get -qq install -y chromium </dev/null; } \
		>/dev/null 2>&1 || echo 'no Chromium could be installed: the page is not tried in a browser'

test-extras: .venv-onedl/extras/.installed chromium
	@echo '[test] onedl line, extras'
	@OMP_NUM_THREADS=1 .venv-onedl/extras/bin/python -m pytest -n $(JOBS) --dist worksteal -rs tests/export \
		tests/page tests/ops/test_backend.py tests/analysis/test_backends.py
	@OMP_NUM_THREADS=1 PYTHONPATH=.venv-onedl/classification .venv-onedl/extras/bin/python -m pytest -n $(JOBS) -rs \
		tests/models/test_smp.py tests/visualization/test_packages.py tests/classification/test_export.py

# Every command of the two mims, each in a throw-away environment.
test-mim: $(LINES:%=.venv-%/.installed)
	@for line in $(LINES); do tests/mim/try_mim.sh $$line $(CURDIR)/.venv-$$line/bin/python || exit 1; done

# Wheel and sdist, looked into, installed in a throw-away environment and used outside the checkout.
test-package: $(LINES:%=.venv-%/.installed)
	@for line in $(LINES); do tests/package/try_package.sh $(CURDIR)/.venv-$$line/bin/python || exit 1; done

.venv-tools/.installed:
	@$(PYTHON) -m venv --clear .venv-tools
	@.venv-tools/bin/python $(PIP) install uv jupytext
	@touch $@

# Which versions work together (docs/matrix.md): before a release; hours, and 25 GB of disk.
matrix: .venv-tools/.installed
	@PATH=$(CURDIR)/.venv-tools/bin:$$PATH $(PYTHON) tests/matrix/try_matrix.py $(MATRIX_ARGS)

# The notebooks of docs/tutorials, from their scripts.
tutorials: .venv-tools/.installed
	@.venv-tools/bin/jupytext --update --to ipynb docs/tutorials/own_*.py

# Before a release: bad inputs; a training killed 20 times at random moments, resumed, and compared bit by bit with
# one that was left alone; faults put into the code, which tests must notice.
campaign: .venv-onedl/.installed
	@OMP_NUM_THREADS=1 .venv-onedl/bin/python -m tests.campaign.inputs
	@OMP_NUM_THREADS=1 .venv-onedl/bin/python -m tests.campaign.kill --kills 20
	@OMP_NUM_THREADS=1 .venv-onedl/bin/python -m tests.campaign.kill --kills 20 --task detection
	@OMP_NUM_THREADS=1 .venv-onedl/bin/python -m tests.campaign.mutations

# A page in the browser to try the demos' models, or the published ones, on images.
page: .venv/.installed
	@.venv/bin/python -c 'import gradio' 2>/dev/null || .venv/bin/python $(PIP) install 'gradio>=6'
	@.venv/bin/python tools/page.py $(PAGE_ARGS)

# What is installed, what runs, and what mends the rest.
doctor: .venv/.installed
	@.venv/bin/python -m mmcoat

# ---------------------------------------------------------------- speed

# The preset takes an hour and more on 2 cores; `python tools/benchmark.py --help` tells what else there is.
# MALLOC='$(KEEP_MEMORY)' measures with an allocator that keeps its memory, for all sides alike.
BENCHMARK_ARGS ?= --preset cpu
MALLOC ?=
TIMM ?= timm==1.0.31

# timm lies in a folder of its own, which only the benchmark sees, with the torchvision that it imports; its hub
# client is not needed.
.venv-onedl/benchmark/.installed: .venv-onedl/.installed
	@echo '[install] $(TIMM)'
	@.venv-onedl/bin/python $(PIP) install --no-deps --upgrade --target .venv-onedl/benchmark '$(TIMM)' '$(TORCHVISION)'
	@touch $@

benchmark: .venv-onedl/benchmark/.installed
	@$(MALLOC) .venv-onedl/bin/python tools/benchmark.py $(BENCHMARK_ARGS)

# ---------------------------------------------------------------- documentation

.venv-docs/.installed: Makefile
	@$(PYTHON) -m venv --clear .venv-docs
	@.venv-docs/bin/python $(PIP) install 'mkdocs-material==9.8.2' 'mkdocstrings[python]==1.0.8'
	@touch $@

# mkdocstrings reads docstrings from the source, without importing it.
docs: .venv-docs/.installed
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet && echo 'build/site/index.html'

# ---------------------------------------------------------------- code

.venv-lint/.installed: setup.cfg
	@$(PYTHON) -m venv --clear .venv-lint
	@.venv-lint/bin/python $(PIP) install 'ruff==0.14.5' 'import-linter==2.5' 'mypy==1.18.2' 'codespell==2.4.1'
	@touch $@

# Style, the rooms' rules (pyproject.toml: who may import whom), types, spelling.
lint: .venv-lint/.installed
	@.venv-lint/bin/ruff format --check . && .venv-lint/bin/ruff check .
	@.venv-lint/bin/lint-imports
	@.venv-lint/bin/mypy
	@.venv-lint/bin/codespell

format: .venv-lint/.installed
	@.venv-lint/bin/ruff check --fix . ; .venv-lint/bin/ruff format .

clean:
	rm -rf .venv .venv-onedl .venv-upstream .venv-lint .venv-docs .venv-tools build *.egg-info mmcoat/.mim
