"""Run refproxy with one fault in it: `python -m tests.mutants NAME run -c FILE`."""

from __future__ import annotations

import sys

from refproxy.__main__ import main
from tests.mutants.catalog import load_all

if __name__ == "__main__":
    name = sys.argv.pop(1)
    load_all()[name].apply()
    main(prog_name="refproxy")
