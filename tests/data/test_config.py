"""Configs from dataclass fields: what is accepted, what is refused, and the JSON schema of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from torch import nn

from gatedrnn.data.config import (
    Choices,
    Config,
    ConfigError,
    Options,
    Range,
    check_arguments,
    from_mapping,
    json_schema,
)


@dataclass(frozen=True)
class Inner(Config):
    """A config in a config."""

    name: str
    weight: Annotated[float, Range(0, 1, below=True)] = 0.5


@dataclass(frozen=True)
class Outer(Config):
    """A config with a field of every kind."""

    size: Annotated[int, Range(1, 10)]
    kind: Annotated[str, Choices("a", "b", "c")] = "a"
    inner: Inner = Inner("x")
    maybe: Inner | None = None
    either: str | Inner = "text"
    mode: Literal["fast", "slow"] = "fast"
    flag: bool = False
    sizes: Sequence[int] | None = None
    pair: tuple[int, float] = (1, 2.0)
    many: tuple[Inner, ...] = ()
    options: Options = field(default_factory=dict)
    anything: Mapping[str, Any] = field(default_factory=dict)
    steps: int = field(default=1, metadata={"min": 1, "max": 99})
    free: int = 0
    code: str = field(default="en", metadata={"min": 1})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size == 7:
            raise ValueError("size must not be 7")


def test_there_and_back():
    data = {
        "size": 3,
        "kind": "b",
        "inner": {"name": "y", "weight": 0},
        "either": {"name": "z"},
        "sizes": [1, 2],
        "pair": [3, 4],
        "many": [{"name": "m"}],
        "options": {"variant": "5g", "n": [1, 2.5, None], "on": True},
        "anything": {"deep": [{"x": float("nan")}]},
    }
    config = Outer.from_dict(data, "file")
    assert config.inner == Inner("y", 0.0) and type(config.inner.weight) is float
    assert config.either == Inner("z") and config.many == (Inner("m"),)
    assert config.pair == (3, 4.0) and config.steps == 1
    again = Outer.from_dict(config.to_dict())
    assert again.to_dict() is not None and again.inner == config.inner


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, "f.json: size must be a whole number from 1 to 10, not 0"),
        ({"size": True}, "f.json: size must be a whole number from 1 to 10, not True"),
        ({"size": 2.0}, "f.json: size must be a whole number from 1 to 10, not 2.0"),
        ({"size": "2"}, "f.json: size must be a whole number from 1 to 10, not '2'"),
        ({"size": 7}, "f.json: size must not be 7"),
        ({"kind": "d"}, "f.json: kind must be a, b or c, not 'd'"),
        ({"kind": ["a"]}, "f.json: kind must be a, b or c, not ['a']"),
        ({"mode": "medium"}, "f.json: mode must be fast or slow, not 'medium'"),
        ({"flag": 1}, "f.json: flag must be true or false, not 1"),
        ({"inner": {}}, "f.json: inner: there is no key 'name'"),
        ({"inner": []}, "f.json: inner: must be an object with named values, not []"),
        ({"inner": {"nam": 1}}, "f.json: inner: unknown key 'nam'; did you mean 'name'?"),
        ({"inner": {"name": "a", "weight": 1}},
         "f.json: inner: weight must be a number of at least 0 and below 1, not 1"),
        ({"inner": {"name": "a", "weight": float("nan")}},
         "f.json: inner: weight must be a number of at least 0 and below 1, not nan"),
        ({"maybe": {"name": 3}}, "f.json: maybe: name must be text, not 3"),
        ({"maybe": 3}, "f.json: maybe must be an object with named values, or null, not 3"),
        ({"either": 3}, "f.json: either must be text, or an object with named values, not 3"),
        ({"either": {"name": 3}}, "f.json: either: name must be text, not 3"),
        ({"sizes": "many"}, "f.json: sizes must be a list of whole numbers from -2147483648 to "
         "2147483648, or null, not 'many'"),
        ({"pair": [1]}, "f.json: pair must be a list of 2: "),
        ({"many": [{"name": "a"}, {"name": 1}]}, "f.json: many: 2: name must be text, not 1"),
        ({"options": {"a": {"b": 1}}}, "f.json: options must be names with numbers, texts, truth "),
        ({"options": {"a": float("inf")}}, "f.json: options must be names with numbers"),
        ({"steps": 100}, "f.json: steps must be a whole number from 1 to 99, not 100"),
        ({"free": 1 << 40}, "f.json: free must be a whole number from -2147483648 to"),
        ({"code": ""}, "f.json: code must be text that is not empty, not ''"),
        ({"sice": 1}, "f.json: unknown key 'sice'; did you mean 'size'?"),
        ({"zzz": 1}, "f.json: unknown key 'zzz'; known are: size, kind, inner"),
        ({1: 1}, "f.json: the key 1 must be text; put it into quotation marks"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_refused(changes, message):
    with pytest.raises(ConfigError) as caught:
        Outer.from_dict({"size": 3} | changes, "f.json")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_no_mapping_and_no_value():
    with pytest.raises(ConfigError, match=r"^f: must be an object with named values, not \[\]$"):
        Outer.from_dict([], "f")
    with pytest.raises(ConfigError, match="^there is no key 'size'$"):
        Outer.from_dict({})
    with pytest.raises(ConfigError, match="^f: kind must be a, b or c, not None$"):
        Outer.from_dict({"size": 1, "kind": None}, "f")
    assert from_mapping(Outer, {"size": 1, "kind": None}, "f", True) == Outer(1)
    with pytest.raises(ConfigError, match="^f: there is no key 'size'$"):
        from_mapping(Outer, {"size": None}, "f", True)


def test_a_key_that_files_must_have():
    @dataclass(frozen=True)
    class Mine(Config):
        one: int = field(default=1, metadata={"required": True})

    assert Mine().one == 1
    with pytest.raises(ConfigError, match="^there is no key 'one'$"):
        Mine.from_dict({})


def test_a_long_value_is_shortened():
    with pytest.raises(ConfigError) as caught:
        Outer.from_dict({"size": "x" * 100_000})
    assert len(str(caught.value)) < 200


def test_arguments():
    class Mine:
        def __init__(self, size: int, inputs: int | nn.Module, stack: nn.Module, rate: float = 0.0):
            pass

    check_arguments(Mine, {"size": 1, "inputs": 2, "rate": 0.5}, "f")
    sizes = {"size": Annotated[int, Range(1, 4)]}
    for values, options, message in (
        ({"stack": 1}, {}, "unknown key 'stack'"),
        ({"rate": 1}, {"leave_out": ("rate",)}, "unknown key 'rate'"),
        ({"size": 5}, {"hints": sizes}, "size must be a whole number from 1 to 4, not 5"),
        ({"inputs": "5"}, {}, "inputs must be a whole number from"),
        ([], {}, "must be an object with named values"),
    ):
        with pytest.raises(ConfigError, match=f"^f: {message}"):
            check_arguments(Mine, values, "f", **options)


def test_schema():
    schema = json_schema(Outer)
    assert schema["$schema"].endswith("2020-12/schema") and schema["required"] == ["size"]
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert properties["size"] == {"type": "integer", "minimum": 1, "maximum": 10}
    assert properties["kind"] == {"enum": ["a", "b", "c"], "default": "a"}
    assert properties["inner"]["properties"]["weight"]["exclusiveMaximum"] == 1
    assert properties["maybe"]["anyOf"][1] == {"type": "null"}
    assert properties["sizes"]["anyOf"][0]["items"]["type"] == "integer"
    assert properties["pair"]["prefixItems"][1]["type"] == "number"
    assert properties["anything"] == {"type": "object", "additionalProperties": {}}


def test_schema_agrees_with_what_is_accepted():
    jsonschema = pytest.importorskip("jsonschema", reason="checks the schema with another program")
    schema = json_schema(Outer)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for changes in ({}, {"kind": "d"}, {"size": 0}, {"maybe": {"name": 3}}, {"sizes": [1]},
                    {"options": {"a": {"b": 1}}}, {"zzz": 1}, {"pair": [1]}):  # fmt: skip
        data = {"size": 3} | changes
        try:
            Outer.from_dict(data)
            accepted = True
        except ConfigError:
            accepted = False
        assert validator.is_valid(data) == accepted, changes
