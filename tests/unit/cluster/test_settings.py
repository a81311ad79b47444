"""What a cluster refuses to be."""

import pytest
from tests.cluster.settings import ClusterSettings

from parley.service.errors import SettingsError


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"sip_port": 5061}, "two of the ports are the same"),
        ({"sip_port": 20010}, "PARLEY_CLUSTER_SIP_PORT lies within"),
        ({"rtp_ports": "20000-20009", "instances": 2}, "too few for the relays"),
        ({"edge_hosts": "127.0.0.1"}, "names an address twice"),
        ({"liveness_of": "edge"}, "PARLEY_CLUSTER_LIVENESS_OF names edge, which is no service"),
        ({"process_environment": {"edge-1": {}}}, "names edge-1, which is no process"),
        ({"process_environment": "{"}, "PARLEY_CLUSTER_PROCESS_ENVIRONMENT: is no JSON"),
        ({"instances": 0}, "PARLEY_CLUSTER_INSTANCES"),
        ({"host": "0.0.0.0"}, "no address that a phone could be told"),
    ],
)
def test_contradictions_are_refused(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        ClusterSettings.load(**values)


def test_a_misspelt_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_CLUSTER_SIPPORT", "5060")
    with pytest.raises(SettingsError, match="PARLEY_CLUSTER_SIPPORT is not a setting"):
        ClusterSettings.load()


def test_the_environment_of_one_process_is_given_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_CLUSTER_PROCESS_ENVIRONMENT", '{"edgeproxy-1": {"TZ": "UTC"}}')
    assert ClusterSettings.load().process_environment == {"edgeproxy-1": {"TZ": "UTC"}}


def test_settings_of_services_are_not_the_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_EDGEPROXY_NONCE_LIFE_S", "4")
    assert ClusterSettings.load().instances == 2
