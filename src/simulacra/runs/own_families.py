"""Families of a user's own: a class, or a file that defines one. The code of a file is run only where the user names the file.

A run of such a family records the digest of the file and keeps a copy of it, which is never run by opening the run.
"""

import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from simulacra import families
from simulacra.core.config import Config, options
from simulacra.core.errors import UsageError
from simulacra.core.family import Family
from simulacra.core.files import write_bytes
from simulacra.core.home import expand_home
from simulacra.core.randomness import stream
from simulacra.runs.settings import groups

COPY = "family.py"
"""Name of the copy of the file in a run folder."""

_FACTS = "own_family"
_OTHER_FLAGS = frozenset({"json", "recipe", "out", "preset", "help", "family-file"})  # of `simulacra train`


@dataclass(frozen=True)
class OwnFamily:
    """A family of a user's own; file: that from which it can be loaded, with its content, None where there is none."""

    name: str
    kind: type[Family]
    file: Path | None = None
    content: bytes = b""

    @property
    def digest(self) -> str | None:
        """SHA-256 of the file, in hex."""
        return sha256(self.content).hexdigest() if self.file else None

    @property
    def facts(self) -> dict[str, Any]:
        """What a run records of it."""
        file = str(self.file) if self.file else None
        return {"name": self.name, "class": self.kind.__name__, "file": file, "sha256": self.digest}


_known: dict[str, OwnFamily] = {}


def add_family(kind: type[Family]) -> str:
    """Make a class usable by its name, and return that: `LabelVAE` is `label_vae`. A family of the package keeps its own name.

    Raises UsageError for a class that is no family or an incomplete one, or whose name or settings are taken.
    """
    if not issubclass(kind, Family):
        raise UsageError(f"the class {kind.__name__} is no family, expected a subclass of simulacra.core.family.Family")
    package, _, own_name = kind.__module__.rpartition(".")
    if package == families.__name__ and own_name in families.packaged() and families.find(own_name) is kind:
        return own_name
    file = _file_of(kind)
    return _add(OwnFamily(name_of(kind), kind, file, file.read_bytes() if file else b""))


def load_family(path: Path | str) -> type[Family]:
    """Run a file that defines one family, make that usable by its name, and return it.

    Random numbers drawn in the file, such as those of initial weights, are the same every time. Raises UsageError for a file that
    cannot be read or run, or does not define exactly one family.
    """
    path = expand_home(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the family file {path}: {error.strerror or error}") from error
    name = f"_family_file_{sha256(content).hexdigest()[:16]}"
    module = sys.modules.get(name) or _run(path.absolute(), content, name)
    kind = families.defined_in(module)
    _add(OwnFamily(name_of(kind), kind, path.absolute(), content))
    return kind


def name_of(kind: type[Family]) -> str:
    """Return the name of a family by that of its class.

    >>> name_of(type("LabelVAE", (), {})), name_of(type("Duel", (), {}))
    ('label_vae', 'duel')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()


def facts(name: str) -> dict[str, Any]:
    """Return what a run of a family records of it in its provenance; nothing for a family of the package."""
    return {_FACTS: _known[name].facts} if name in _known else {}


def digest(name: str) -> str | None:
    """Return the SHA-256 of the file of a family of a user's own; None of any other family."""
    return _known[name].digest if name in _known else None


def keep(name: str, folder: Path) -> None:
    """Copy the file of a family into a run folder, where there is one; raises Unwritable."""
    if name in _known and _known[name].file:
        write_bytes(folder / COPY, _known[name].content)


def require_whole(provenance: Mapping[str, Any]) -> None:
    """Raise KeyError or TypeError where a provenance does not hold all that is read of a user's own family."""
    recorded = provenance.get(_FACTS)
    if recorded is None:
        return
    for name in ("name", "file", "sha256"):
        if not isinstance(recorded[name], str | None) or (name == "name" and not recorded[name]):
            raise TypeError(f"the {name} of its family is not a text")


def require_known(folder: Path, provenance: Mapping[str, Any]) -> None:
    """Raise UsageError where a run is of a family of its user's own that is not given, with the file that defines it."""
    recorded = provenance.get(_FACTS)
    if not recorded or recorded["name"] in families.names():
        return
    name, file = recorded["name"], recorded["file"]
    where = "was given as a class"
    remedy = "give it as family= in Python, or move it to a FILE of its own and add --family-file FILE"
    if file:
        copy = folder / COPY
        where = f"is defined in {file} (SHA-256 {_short(recorded['sha256'])})"
        remedy = f"add --family-file {copy if copy.is_file() else file} once you have read it, because its code will be run"
    raise UsageError(f"{folder} is a run of the family {name}, which {where}: {remedy}")


def family_file_of(folder: Path) -> tuple[str, ...]:
    """Return the words of a command line that a run of a user's own family needs; none for a run that keeps no file of it."""
    return ("--family-file", str(folder / COPY)) if (folder / COPY).is_file() else ()


def difference(provenance: Mapping[str, Any]) -> str:
    """Return how the file of a family differs from that which a run was trained with, in words; empty where it does not."""
    recorded = provenance.get(_FACTS)
    if not recorded or recorded["name"] not in _known:
        return ""
    now, before = _known[recorded["name"]].digest, recorded["sha256"]
    if now == before:
        return ""
    return f"the family {recorded['name']} is not that of the training: its file has SHA-256 {_short(now)}, then {_short(before)}"


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "none"


def _add(own: OwnFamily) -> str:
    _require_usable(own.kind, own.name)
    families.add(own.name, own.kind)
    _known[own.name] = own
    return own.name


def _require_usable(kind: type[Family], name: str) -> None:
    """Raise UsageError for a class that lacks methods, or whose name or settings are taken."""
    title = f"the family {kind.__name__}"
    if lacking := sorted(getattr(kind, "__abstractmethods__", ())):
        raise UsageError(f"{title} lacks {', '.join(lacking)}: a family defines these methods")
    if name in families.packaged():
        raise UsageError(f"{title} has the name {name}, which is taken: rename the class")
    if not (isinstance(kind.Config, type) and issubclass(kind.Config, Config)):
        expected = "a frozen dataclass that is a subclass of simulacra.core.config.Config"
        raise UsageError(f"{title}: its Config is {kind.Config!r}, expected {expected}")
    try:
        kinds = groups(kind)
        own = options(kinds.pop("model"))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{title}: {error}") from error
    others = [setting for group in kinds.values() for setting in options(group)]
    taken = {setting.name for setting in others} | {setting.flag for setting in others} | _OTHER_FLAGS
    if clash := next((setting for setting in own if {setting.name, setting.flag} & taken), None):
        raise UsageError(f"{title} has the setting {clash.name}, which data and training have too: rename it")


def _run(path: Path, content: bytes, name: str) -> ModuleType:
    """Run a file as a module; raises UsageError, with the line, where that fails."""
    module = module_from_spec(ModuleSpec(name, None, origin=str(path)))
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses find their annotations there
    try:
        with stream(0, "family file"):
            exec(compile(content, str(path), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else 0
        raise UsageError(f"the family file {path} fails in line {line}: {type(error).__name__}: {error}") from error
    return module


def _file_of(kind: type[Family]) -> Path | None:
    """Return the file from which a class can be loaded; None for one of a notebook or script, or in a file with several."""
    module = sys.modules.get(kind.__module__)
    if module is None or module.__name__ == "__main__" or not module.__file__:
        return None
    try:
        found = families.defined_in(module)
    except UsageError:
        return None
    return Path(module.__file__).absolute() if found is kind else None
