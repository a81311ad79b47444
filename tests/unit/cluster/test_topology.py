"""The topology tells the truth about the ports that services name and use."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.topology import SERVICES, ServiceSpec

from parley.backing.factory import Backing, Port, create_backing
from parley.mediaengine import Engine
from parley.service.clock import SystemClock
from parley.service.ids import RandomIds
from parley.service.metrics import Registry
from parley.service.process import Process
from parley.service.settings import Settings

_NONE = Port(0)
_SECRET = "0123456789abcdef"


def _wire(
    spec: ServiceSpec, monkeypatch: pytest.MonkeyPatch, folder: Path, without: Port = _NONE
) -> list[Port]:
    """Makes what the process of a service consists of; returns the ports that it names."""
    named: list[Port] = []

    def create(ports: Port, *args: Any) -> Backing:
        named.append(ports)
        return create_backing(ports & ~without, *args)

    module = importlib.import_module(f"{spec.module}.__main__")
    monkeypatch.setattr(module, "create_backing", create)
    engines: list[Engine] = []

    def make_engine(_settings: object) -> Engine:
        engines.append(Engine("127.0.0.1", 32500, 32539))
        return engines[-1]

    monkeypatch.setattr("parley.mediarelay.app._make_engine", make_engine)
    monkeypatch.setenv("PARLEY_BACKING_DATA", str(folder))
    monkeypatch.setenv("PARLEY_INSIDE_SECRET", _SECRET)
    monkeypatch.setenv("PARLEY_EDGEPROXY_SECRET", _SECRET)
    for setting, value in spec.fixed:
        monkeypatch.setenv(spec.key(setting), value)
    [settings] = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Settings)
        and value.__module__ == f"{spec.module}.settings"
    ]
    try:
        module._services(settings.load(), Process(SystemClock(), RandomIds(), Registry()))
    finally:
        for engine in engines:
            engine.shut_down()
    return named


@pytest.mark.parametrize("spec", SERVICES, ids=lambda spec: spec.service)
def test_service_names_the_ports_that_the_topology_tells(
    spec: ServiceSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert _wire(spec, monkeypatch, tmp_path) == [spec.uses]


@pytest.mark.parametrize(
    ("spec", "port"),
    [
        pytest.param(spec, port, id=f"{spec.service}-{port.name}")
        for spec in SERVICES
        for port in spec.uses
    ],
)
def test_service_cannot_be_wired_without_any_of_its_ports(
    spec: ServiceSpec, port: Port, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="create_backing was not told so"):
        _wire(spec, monkeypatch, tmp_path, without=port)
