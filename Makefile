# Two commands do everything: make demo, make test.
PYTHON ?= python3
DATA ?=
OUTPUT ?=
# Pre-trained parts: make demo DATA=folder SIZE=small_data; hub ids or folders
SIZE ?=
WHISPER ?=
LLM ?=
EMOTION2VEC ?=
VENV_PYTHON := .venv/bin/python

.PHONY: demo test test-lowest lint clean environment

demo: environment
	@$(VENV_PYTHON) recipes/Synthetic/run_demo.py \
		$(if $(DATA),--data "$(DATA)") $(if $(OUTPUT),--output "$(OUTPUT)") \
		$(if $(SIZE),--size "$(SIZE)") \
		$(if $(WHISPER),--whisper "$(WHISPER)") $(if $(LLM),--llm "$(LLM)") \
		$(if $(EMOTION2VEC),--emotion2vec "$(EMOTION2VEC)")

test: environment
	@$(VENV_PYTHON) -m pytest -n 2 --dist loadfile

# With the oldest packages that setup.py allows, in .venv-lowest.
test-lowest:
	@$(PYTHON) tools/test_lowest.py

lint: environment
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m ruff format --check .
	@$(VENV_PYTHON) -m mypy

environment:
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here: \
	install Python 3.10 or newer, or name one: make PYTHON=python3.12 ..."; \
	exit 1; }
	@$(PYTHON) tools/setup_env.py

# The environment stays; remove .venv by hand to start from nothing.
clean:
	rm -rf results .pytest_cache .ruff_cache *.egg-info build
	find . -name __pycache__ -not -path './.venv/*' -exec rm -rf {} +
