"""A recipe's YAML: files that build on each other, overrides, and keys by their earlier names."""

from __future__ import annotations

import difflib
import io
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from speechbrain.utils.logger import get_logger

logger = get_logger(__name__)

#: Key with the path of the YAML file that a file builds on, relative to its own folder.
BASE = "base"
#: Key with the new keys of a file that builds on another, which has only keys that this one knows.
ADDS = "adds"
#: Key with the name of a file in the folder ``setups`` beside one of these files.
SETUP = "setup"
#: Key of the file at the bottom: its keys whose mappings are merged, not replaced.
EXTENDED = "extended_keys"
#: Values of ``setup`` for none.
NO_SETUP = ("none", None)
#: Keys of released YAML files -> their names now. They are read at the top level of a file, on the
#: command line, and where a file is included; each with one warning.
RENAMED_KEYS: dict[str, str] = {
    "stack": "subsampling_factor",
    "parameters": "parameter_budget",
    "start": "init",
}
#: The same for options of a network inside of other keys: mappings that have a ``network``.
RENAMED_OPTIONS = {"start": "init"}

_INCLUDE = "!include:"


@dataclass(frozen=True)
class RecipeYaml:
    """What a YAML file and its overrides amount to.

    path: The file that all others build on; paths of ``!include:`` are relative to its folder.
    changes: Keys that the other files and the command line override.
    """

    path: Path
    text: str
    changes: dict[str, Any]

    def _stream(self) -> io.StringIO:
        stream = io.StringIO(self.text)
        stream.name = str(self.path)  # where HyperPyYAML looks for included files
        return stream

    def load(self) -> dict[str, Any]:
        """The values, with the objects that the YAML makes.

        Raises
        ------
        ValueError
            If an argument of an object does not exist, or a ``!PLACEHOLDER`` is left.
        """
        try:
            return load_hyperpyyaml(self._stream(), self.changes, overrides_must_match=False)
        except TypeError as error:
            raise ValueError(f"{self.path}: {error}") from error

    def resolved(self) -> str:
        """The YAML as one text without references."""
        return resolve_references(self._stream(), self.changes).getvalue()


def read_recipe(path: str | Path, overrides: str | Mapping[str, Any] = "") -> RecipeYaml:
    """Reads a recipe's YAML, with the files that it builds on.

    A file with the key ``base`` holds only what differs from the file named there, which can have
    a ``base`` itself; keys that the base does not know stand below ``adds``. The key ``setup``, in
    one of them or in the overrides, names a file in the folder ``setups`` beside one of them, whose
    keys override those of all of them; it can have a ``base`` too, beside itself. ``overrides``
    override everything. A value replaces another as a whole, but mappings of the keys that the file
    at the bottom lists under ``extended_keys`` are merged.

    overrides: Overrides of the command line.
    """
    if isinstance(overrides, str):
        overrides = (YAML().load(overrides) or {}) if overrides else {}
    overrides = rename_keys(overrides, "the command line")
    files = _chain(Path(path))
    bottom, known, text = files[-1]
    changes: dict[str, Any] = {}
    extended = [RENAMED_KEYS.get(key, key) for key in known.get(EXTENDED, ())]
    for _, keys, _ in reversed(files[:-1]):
        added = keys.pop(ADDS, None) or {}
        _refuse_unknown(keys, known, bottom)
        known = {**known, **added}
        changes = _override({**changes, **added}, keys, extended)
    # A file at the bottom can be the hyperparams.yaml of a training, whose set-up is in its keys.
    name = overrides.get(SETUP, changes.get(SETUP))
    if name not in NO_SETUP:
        setup = _read_setup([place.parent / "setups" for place, _, _ in files], str(name))
        changes = _override(changes, setup, extended)
    changes = _override(changes, overrides, extended)
    _refuse_unknown(changes, known, bottom)
    return RecipeYaml(bottom, text, changes)


def _override(
    keys: Mapping[str, Any], above: Mapping[str, Any], extended: Sequence[str]
) -> dict[str, Any]:
    """Keys with those of another file on top; mappings of ``extended`` keys are merged."""
    merged = {
        key: {**keys[key], **value}
        for key, value in above.items()
        if key in extended and isinstance(keys.get(key), Mapping) and isinstance(value, Mapping)
    }
    return {**keys, **above, **merged}


def rename_keys(keys: Mapping[str, Any], place: str | Path | None) -> dict[str, Any]:
    """Keys by their present names; ``place`` is for the warning, ``None`` for no warning."""
    old = _old(keys)
    values = [_rename_options(value) for value in keys.values()]
    if old and place is not None:
        logger.warning(f"{place}: keys have new names: {_arrows(old)}")
    return {
        RENAMED_KEYS[key] if key in old else key: value
        for key, value in zip(keys, values, strict=True)
    }


def _chain(path: Path) -> list[tuple[Path, dict[str, Any], str]]:
    """A file and those that it builds on, the one at the bottom last: path, keys, text."""
    files: list[tuple[Path, dict[str, Any], str]] = []
    while True:
        if path.resolve() in [place.resolve() for place, _, _ in files]:
            raise ValueError(f"{path}: {BASE}: the file builds on itself; name another one")
        keys, text = _read(path)
        base = keys.pop(BASE, None)
        files.append((path, keys, text))
        if base is None:
            return files
        path = path.parent / str(base)


def _read_setup(folders: list[Path], name: str) -> dict[str, Any]:
    """The keys of a set-up and of those that it builds on."""
    path = next((f / f"{name}.yaml" for f in folders if (f / f"{name}.yaml").is_file()), None)
    if path is None:
        known = {p.stem for folder in folders for p in folder.glob("*.yaml")}
        raise FileNotFoundError(
            f"{folders[-1] / name}.yaml: there is no such set-up; there are: "
            f"{', '.join(sorted(known)) or 'none'}"
        )
    keys: dict[str, Any] = {}
    for _, own, _ in reversed(_chain(path)):
        keys |= own
    return keys


def _refuse_unknown(keys: Mapping[str, Any], known: Mapping[str, Any], path: Path) -> None:
    """Refuses a misspelled key; the message names similar ones."""
    for key in keys:
        if key not in known:
            similar = difflib.get_close_matches(str(key), map(str, known), 3)
            hint = f"; is it {' or '.join(similar)}?" if similar else ""
            raise ValueError(f"{path} has no key {key!r}{hint}")


def read_keys(path: Path) -> dict[str, Any]:
    """The top-level keys of a YAML file as they stand there, with the tags of their values."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return _parse(path.read_text(encoding="utf-8"), path)


def _parse(text: str, path: Path) -> Any:
    try:
        keys = YAML().load(text)
    except YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if not isinstance(keys, Mapping):
        raise ValueError(f"{path} holds no keys with values")
    return keys


def _read(path: Path) -> tuple[Any, str]:
    """Keys and text of a YAML file, with old keys and references to them renamed."""
    original = read_keys(path)
    text = path.read_text(encoding="utf-8")
    renamed = _old(original)
    for key, new in RENAMED_KEYS.items():
        if key in renamed or key not in original:
            text = text.replace(f"<{key}>", f"<{new}>").replace(f"<{key}[", f"<{new}[")
    keys = _parse(text, path)
    for key in renamed:
        _rename(keys, key)
    for value in list(keys.values()):
        included = str(getattr(getattr(value, "tag", None), "value", None) or "")
        if included.startswith(_INCLUDE) and isinstance(value, Mapping):
            # Old keys of an included file, which would not complain of them but ignore them.
            known = read_keys(path.parent / included.removeprefix(_INCLUDE))
            for key in [k for k in _old(value) if k not in known and RENAMED_KEYS[k] in known]:
                _rename(value, key)
                renamed.append(key)
        elif isinstance(value, Mapping | list):
            renamed += _old_options(value)
            _rename_options(value)
    if renamed:
        logger.warning(f"{path}: keys have new names: {_arrows(renamed)}")
        stream = io.StringIO()
        YAML().dump(keys, stream)
        text = stream.getvalue()
    return keys, text


def _old(keys: Mapping[str, Any]) -> list[str]:
    return [key for key in keys if key in RENAMED_KEYS and RENAMED_KEYS[key] not in keys]


def _old_options(value: Any) -> list[str]:
    """Earlier names of options of networks, at any depth."""
    if isinstance(value, list):
        return [name for item in value for name in _old_options(item)]
    if not isinstance(value, Mapping):
        return []
    own = [name for name in RENAMED_OPTIONS if "network" in value and name in value]
    return own + [name for item in value.values() for name in _old_options(item)]


def _rename_options(value: Any) -> Any:
    """Renames options of networks in place, at any depth, so that tags of YAML stay."""
    if isinstance(value, list):
        for item in value:
            _rename_options(item)
    elif isinstance(value, MutableMapping):
        for item in value.values():
            _rename_options(item)
        if "network" in value:
            for name in [name for name in RENAMED_OPTIONS if name in value]:
                value[RENAMED_OPTIONS[name]] = value.pop(name)
    return value


def _rename(keys: Any, key: str) -> None:
    keys.insert(list(keys).index(key), RENAMED_KEYS[key], keys.pop(key))


def _arrows(keys: list[str]) -> str:
    return ", ".join(f"{key} -> {RENAMED_KEYS[key]}" for key in dict.fromkeys(keys))
