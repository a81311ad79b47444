"""From the topology to processes with ports and environment."""

import importlib
from itertools import count
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.cluster.plan import ProcessPlan, ServerUrls, divide, plan
from tests.cluster.settings import ClusterSettings
from tests.cluster.topology import SERVICES, ServiceSpec

from parley.allinone.data_folder import Secrets
from parley.backing.settings import Adapter, BackingSettings
from parley.service.settings import PortRange, Settings

SECRETS = Secrets(Path("/data/sip.crt"), Path("/data/sip.key"), SecretStr("0123456789abcdef"))
URLS = ServerUrls(
    redis="redis://127.0.0.1:1/0",
    kafka="127.0.0.1:2",
    zookeeper="127.0.0.1:3",
    postgresql="postgresql://postgres@127.0.0.1:4/parley",
)


def _plans(**values: object) -> list[ProcessPlan]:
    numbers = count(6000)
    proofs = {"PARLEY_INSIDE_SECRET": "0123456789abcdef"}
    return plan(
        ClusterSettings.load(**values), URLS, SECRETS, lambda: next(numbers), lambda *_: proofs
    )


def _settings_class(spec: ServiceSpec) -> type[Settings]:
    module = importlib.import_module(f"{spec.module}.settings")
    [found] = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and issubclass(value, Settings)
    ]
    return found


@pytest.mark.parametrize("spec", SERVICES, ids=lambda spec: spec.service)
def test_every_service_takes_the_environment_that_is_planned_for_it(
    spec: ServiceSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first, second] = [each for each in _plans() if each.spec is spec]
    for each in (first, second):
        for key, value in each.environment.items():
            monkeypatch.setenv(key, value)
        settings = _settings_class(spec).load()
        for port, number in each.ports.items():
            assert getattr(settings, port) == number


def test_the_backing_is_the_clusters_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in _plans()[0].environment.items():
        monkeypatch.setenv(key, value)
    backing = BackingSettings.load()
    assert (backing.state, backing.bus) == (Adapter.REDIS, Adapter.KAFKA)
    assert backing.discovery is Adapter.ZOOKEEPER
    assert backing.database_url is not None


def test_no_two_processes_share_a_port_but_edges_their_public_ones() -> None:
    plans = _plans(instances=3)
    own = [each.ports[port] for each in plans for port in each.spec.ports]
    assert len(set(own)) == len(own)
    shared = {tuple(each.ports[port] for port in each.spec.shared_ports) for each in plans}
    assert shared == {(), (5060, 5060, 5061)}


def test_no_two_processes_share_a_name_or_a_folder() -> None:
    plans = _plans(instances=3)
    assert len({each.name for each in plans}) == len(plans) == 3 * len(SERVICES)
    assert len({each.environment["PARLEY_BACKING_DATA"] for each in plans}) == len(plans)


def test_all_edges_have_one_secret() -> None:
    secrets = {
        each.environment["PARLEY_EDGEPROXY_SECRET"]
        for each in _plans(instances=4)
        if each.spec.service == "edgeproxy"
    }
    assert secrets == {"0123456789abcdef"}


def test_one_process_alone_gets_its_further_environment() -> None:
    plans = _plans(process_environment={"edgeproxy-2": {"TZ": "UTC"}})
    assert [each.name for each in plans if each.environment.get("TZ")] == ["edgeproxy-2"]


def test_further_edges_stand_alone_on_their_address() -> None:
    hosts = [each.host for each in _plans(edge_hosts="127.0.0.2") if each.ports.get("udp_port")]
    assert hosts == ["127.0.0.1", "127.0.0.1", "127.0.0.2"]


@pytest.mark.parametrize("spec", SERVICES, ids=lambda spec: spec.service)
def test_health_and_control_listen_apart_from_what_is_public(spec: ServiceSpec) -> None:
    settings = _settings_class(spec)
    public = {"host": "127.0.0.2"} if spec.has_listener else {}
    inside = {
        name: value
        for name, value in settings.load(**public).model_dump().items()
        if name.endswith("_host") and "advertised" not in name
    }
    assert "health_host" in inside
    assert set(inside.values()) == {"127.0.0.1"}


def test_processes_start_stage_by_stage() -> None:
    stages = [each.spec.stage for each in _plans()]
    assert stages == sorted(stages)


def test_call_managers_stop_before_what_they_need_to_hang_up() -> None:
    stops = {spec.service: spec.stops for spec in SERVICES}
    assert stops["callmanager"] < min(stops["edgeproxy"], stops["mediarelay"])
    assert stops["accounting"] == max(stops.values())


def test_the_first_gateways_are_on_the_known_ports() -> None:
    ports = {each.name: each.ports.get("port") for each in _plans(api_port=8001, wsi_port=8002)}
    assert (ports["restgateway-1"], ports["wsigateway-1"]) == (8001, 8002)


@pytest.mark.parametrize(
    ("ports", "parts", "wanted"),
    [
        (PortRange(100, 199), 1, [(100, 199)]),
        (PortRange(100, 199), 2, [(100, 149), (150, 199)]),
        (PortRange(101, 199), 2, [(102, 149), (150, 197)]),
        (PortRange(100, 199), 3, [(100, 131), (132, 163), (164, 195)]),
    ],
)
def test_media_ports_are_divided_into_equal_even_parts(
    ports: PortRange, parts: int, wanted: list[tuple[int, int]]
) -> None:
    assert divide(ports, parts) == wanted
