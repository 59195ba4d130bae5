"""Every module of cases: importing this one registers them all."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import conformance.cases

for module in pkgutil.iter_modules(conformance.cases.__path__):
    if module.name != "all":
        import_module(f"conformance.cases.{module.name}")
