# make demo: see it work. make test: the fast tests. make long: the others. make check: all that continuous integration does.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.set-up
DOCS_STAMP := .venv/.set-up-docs
# Tests start many processes: without compiled files on disk, each of them would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test long slow kills gpu bench results docs-setup notebooks jupyterlab docs test-docs wheel check format clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the pinned dependencies into .venv (some minutes, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $(STAMP)

docs-setup: $(DOCS_STAMP)

$(DOCS_STAMP): $(STAMP)
	@echo "installing the packages of the documentation into .venv (a minute, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	@touch $(DOCS_STAMP)

demo: setup
	@$(BIN)/simulacra demo

test: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

long: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m 'long and not slow'

kills: setup
	SIMULACRA_KILLS=100 $(BIN)/python -m pytest -m slow tests/integration/test_kills.py

slow: setup
	$(BIN)/python -m pytest -m slow

gpu: setup
	$(BIN)/python benchmarks/gpu.py

bench: setup
	$(BIN)/python benchmarks/training.py --peers --family vae
	$(BIN)/python benchmarks/training.py --peers --family autoencoder
	for family in conv_gan dcgan vae_gan gan; do $(BIN)/python benchmarks/training.py --family $$family --steps 25 --rounds 3; done
	$(BIN)/python benchmarks/training.py --family wgan_gp --preset dense --batch 64 --rounds 3
	$(BIN)/python benchmarks/training.py --family cyclegan --preset small --batch 4 --steps 25 --rounds 3
	for batch in 1 4; do $(BIN)/python benchmarks/training.py --family cyclegan --side 64 --channels 3 --precision auto \
		--batch $$batch --warm 2 --steps 6 --rounds 3; done
	$(BIN)/python benchmarks/training.py --peers --family diffusion --batch 64 --steps 60
	$(BIN)/python benchmarks/sampling.py
	$(BIN)/python benchmarks/overhead.py --family vae
	$(BIN)/python benchmarks/overhead.py --family autoencoder
	$(BIN)/python benchmarks/dropout.py
	$(BIN)/python benchmarks/layers.py
	$(BIN)/python benchmarks/layers.py --what gradients --preset 32
	$(BIN)/python benchmarks/layers.py --what gradients --family vae_gan --batch 64
	$(BIN)/python benchmarks/metrics.py

results: setup
	$(BIN)/python benchmarks/results.py --cas

# The site in build/docs, with the executed notebooks that 'make notebooks' has written. Warnings and dead links are errors.
docs: docs-setup
	$(BIN)/python -m sphinx --builder html --doctree-dir build/doctrees --fail-on-warning --keep-going --quiet docs build/docs
	$(BIN)/python docs/check_site.py build/docs
	@echo "the site is in build/docs: open build/docs/index.html, or run '$(BIN)/python -m http.server --directory build/docs'"

test-docs: docs-setup
	$(BIN)/python -m pytest -m docs tests/site tests/quizzes

notebooks: docs-setup
	$(BIN)/python -m pytest -m docs tests/notebooks
	$(BIN)/simulacra extractor train lenet --data digits  # once; all notebooks that compare features use it
	$(BIN)/python notebooks/run.py --jobs 2 $(NOTEBOOK_FLAGS)

jupyterlab: docs-setup
	$(BIN)/python -m tests.notebooks.jupyterlab vae autoencoder

wheel: setup
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	@ls build/wheel/simulacra-*.whl

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m 'not slow and not gpu and not docs'

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
