"""Writes docs/operations/settings.md from the settings classes; `--check` only compares."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from parley.service.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the cluster's settings lie below tests
PAGE = ROOT / "docs/operations/settings.md"
CLASSES = (
    ("parley.allinone.settings", "AllInOneSettings"),
    ("parley.service.inside", "InsideSettings"),
    ("parley.backing.settings", "BackingSettings"),
    ("parley.edgeproxy.settings", "EdgeSettings"),
    ("parley.callmanager.settings", "CallManagerSettings"),
    ("parley.mediarelay.settings", "MediaRelaySettings"),
    ("parley.accounting.settings", "AccountingSettings"),
    ("parley.restgateway.settings", "RestGatewaySettings"),
    ("parley.wsigateway.settings", "WsiGatewaySettings"),
    ("parley.cli.settings", "CliSettings"),
    ("tests.cluster.settings", "ClusterSettings"),
)
HEAD = """# Settings

Every setting is an environment variable; every default runs. An unknown key under a service's
prefix, a malformed value or a contradiction stops the start with one sentence. Secrets may come
from a file: `<KEY>_FILE` names it. `make settings` writes this page from the code.
"""
_FIELD = re.compile(r"^([a-z0-9_, ]+): (.*)$")


def described(settings: type[Settings]) -> dict[str, str]:
    """Reads the Attributes sections of the docstrings of the class and of those it is made of."""
    found: dict[str, str] = {}
    for kind in reversed(settings.__mro__):
        if issubclass(kind, Settings):
            found.update(_described(settings, kind.__dict__.get("__doc__") or ""))
    return found


def _described(settings: type[Settings], docstring: str) -> dict[str, str]:
    _, _, section = docstring.partition("Attributes:")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        text = line.strip()
        match = _FIELD.match(text)
        if match and all(name in settings.model_fields for name in match[1].split(", ")):
            names = match[1].split(", ")
            found.update(dict.fromkeys(names, match[2]))
        elif text:
            found.update({name: f"{found[name]} {text}" for name in names})
    return found


def rows(settings: type[Settings]) -> Iterator[str]:
    """Yields one line of the table for each setting."""
    prefix = settings.model_config.get("env_prefix", "")
    texts = described(settings)
    for name in settings.own_fields():
        field = settings.model_fields[name]
        value = getattr(field.default, "value", field.default)
        default = "" if value is None or field.is_required() else str(value)
        if isinstance(field.default, tuple):
            separator = "-" if hasattr(field.default, "first") else ","
            default = separator.join(map(str, field.default))
        shown = f"`{default}`" if default else "none"
        yield f"| `{prefix}{name}`".upper() + f" | {shown} | {texts.get(name, '')} |\n"


def page() -> str:
    """Returns the whole page."""
    parts = [HEAD]
    for module, name in CLASSES:
        settings = getattr(importlib.import_module(module), name)
        first = (settings.__doc__ or "").splitlines()[0]
        title = module.removesuffix(".settings").rpartition(".")[2]
        parts.append(f"\n## {title}\n\n{first}\n\n")
        parts.append("| variable | default | meaning |\n|---|---|---|\n")
        parts.extend(rows(settings))
    return "".join(parts)


def main() -> int:
    """Writes the page, or says whether it is up to date."""
    wanted = page()
    if "--check" in sys.argv:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted:
            return 0
        print("docs/operations/settings.md is not what the code says: run `make settings`.")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
