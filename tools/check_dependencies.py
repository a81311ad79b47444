"""Checks that every member declares exactly the packages that its sources import."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Chosen at run time by a name, not by an import: drivers, loops, protocols.
LOADED_BY_NAME = {"aiosqlite", "asyncpg", "uvloop", "websockets"}


def imported_modules(member: Path) -> Iterator[str]:
    """Yields every absolute module name that the member's sources import."""
    for file in member.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module


def needed(member: Path) -> set[str]:
    """Returns the distributions that the member's imports come from."""
    owners = packages_distributions()
    found = set()
    for module in imported_modules(member):
        top, _, rest = module.partition(".")
        if top == "parley":
            found.add(f"parley-{rest.partition('.')[0]}")
        elif top not in sys.stdlib_module_names:
            owner = owners.get(top, [top])[0].lower().replace("_", "-")
            found.add(owner)
    return found - {f"parley-{member.name}"}


def declared(member: Path) -> set[str]:
    """Returns the distributions in the member's `dependencies`."""
    project = tomllib.loads((member / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {re.split(r"[\[<>=~ ]", line)[0].lower() for line in project["dependencies"]}


def main() -> int:
    """Prints what is missing or unused; the exit status says whether there was anything."""
    is_clean = True
    for project in sorted(ROOT.glob("*/*/pyproject.toml")):
        member = project.parent
        have, need = declared(member), needed(member)
        for name in sorted(need - have):
            print(f"{member.relative_to(ROOT)}: imports {name} and does not declare it")
            is_clean = False
        for name in sorted(have - need - LOADED_BY_NAME):
            print(f"{member.relative_to(ROOT)}: declares {name} and does not import it")
            is_clean = False
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
