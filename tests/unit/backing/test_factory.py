"""The factory: all ports of a process, opened and closed together."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from parley.backing.bus.kafka_options import KafkaSecurity
from parley.backing.db.postgresql import tls_of
from parley.backing.errors import BackingUnavailable, BlobKeyError, FolderInUse
from parley.backing.factory import Port, create_backing
from parley.backing.settings import BackingSettings
from parley.service.errors import SettingsError, StartError
from parley.service.metrics import Registry
from parley.service.tls import TlsFiles
from parley.testkit.clock import FakeClock

_ALL = ~Port(0)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_second_process_on_the_same_folder_is_refused_in_one_sentence(
    tmp_path: Path,
) -> None:
    first = create_backing(Port.STATE, BackingSettings.load(data=tmp_path), FakeClock(), Registry())
    await first.start()
    second = create_backing(
        Port.STATE, BackingSettings.load(data=tmp_path), FakeClock(), Registry()
    )
    with pytest.raises(FolderInUse, match="Another process uses the data folder"):
        await second.start()
    await first.aclose()
    await second.start()
    await second.aclose()


async def test_everything_is_kept_in_the_data_folder(tmp_path: Path) -> None:
    backing = create_backing(_ALL, BackingSettings.load(data=tmp_path), FakeClock(), Registry())
    await backing.start()
    await backing.state.put_if_version("k:{1}", b"1", 0)
    await backing.bus.publish_and_wait("t", "k", b"1")
    await backing.blobs.put("a/b", b"1")
    await backing.aclose()
    assert {"blobs", "bus", "state", "parley.db"} <= _names(tmp_path)


async def test_without_durability_only_blobs_touch_the_disk(tmp_path: Path) -> None:
    settings = BackingSettings.load(data=tmp_path, is_durable=False)
    backing = create_backing(_ALL, settings, FakeClock(), Registry())
    await backing.start()
    await backing.state.put_if_version("k:{1}", b"1", 0)
    await backing.bus.publish_and_wait("t", "k", b"1")
    await backing.aclose()
    assert _names(tmp_path) == {"blobs"}


@pytest.mark.parametrize(
    ("port", "names"),
    [
        (Port.DATABASE, {"parley.db"}),
        (Port.BLOBS, {"blobs"}),
        (Port.STATE, {"state"}),
        (Port.DISCOVERY, set()),
        (Port.BUS, {"bus"}),
    ],
    ids=lambda value: value.name if isinstance(value, Port) else "",
)
async def test_ports_that_a_process_does_not_name_are_neither_built_nor_opened(
    tmp_path: Path, port: Port, names: set[str]
) -> None:
    backing = create_backing(port, BackingSettings.load(data=tmp_path), FakeClock(), Registry())
    await backing.start()
    await backing.aclose()
    assert {name.split("-")[0] for name in _names(tmp_path)} == names
    unnamed = {"db", "blobs", "state", "discovery", "bus"} - vars(backing).keys()
    assert len(unnamed) == 4
    for name in unnamed:
        with pytest.raises(RuntimeError, match=rf"backing\.{name} is used, but .* not told"):
            getattr(backing, name)


def test_a_relay_does_not_load_the_databases_library() -> None:
    program = (
        "import sys, parley.mediarelay.__main__\n"
        "from parley.backing.factory import Port, create_backing\n"
        "from parley.backing.settings import BackingSettings\n"
        "from parley.service.clock import SystemClock\n"
        "from parley.service.metrics import Registry\n"
        "ports = Port.STATE | Port.DISCOVERY\n"
        "create_backing(ports, BackingSettings.load(), SystemClock(), Registry())\n"
        "sys.exit('sqlalchemy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


async def test_a_blob_cannot_be_the_folder_of_another(tmp_path: Path) -> None:
    settings = BackingSettings.load(data=tmp_path, is_durable=False)
    backing = create_backing(Port.BLOBS, settings, FakeClock(), Registry())
    await backing.start()
    await backing.blobs.put("a/b", b"1")
    for key in ("a", "a/b/c"):
        with pytest.raises(BlobKeyError):
            await backing.blobs.put(key, b"2")
    assert not list((tmp_path / "blobs" / ".tmp").iterdir())
    await backing.aclose()


def test_bounds_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(SettingsError, match="more records than it keeps"):
        BackingSettings.load(bus_keep_records=10, bus_max_records=10)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_BACKING_SYNC", "always")
    monkeypatch.setenv("PARLEY_BACKING_BUS_VOLATILE_TOPICS", "load, presence")
    settings = BackingSettings.load()
    assert settings.sync.value == "always"
    assert settings.bus_volatile_topics == ("load", "presence")


async def test_a_data_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    backing = create_backing(
        Port.STATE, BackingSettings.load(data=tmp_path / "file"), FakeClock(), Registry()
    )
    assert not backing.is_ready()
    with pytest.raises(StartError, match=r"[^.]\.$"):
        await backing.start()
    await backing.aclose()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"state": "kafka"}, "the state adapter is embedded or redis"),
        ({"discovery": "s3"}, "the discovery adapter is embedded or zookeeper"),
        ({"blobs": "zookeeper"}, "the blobs adapter is embedded or s3"),
        ({"discovery_url": "http://hunter2"}, "begins with zookeeper://"),
        ({"blobs_url": "s3://"}, "s3://bucket"),
        ({"blobs_url": "parley"}, "s3://bucket"),
        ({"blobs_key": "hunter2"}, "are given together"),
        ({"discovery_session_s": 0.1}, "0.5"),
    ],
)
def test_settings_that_no_adapter_can_use_are_refused(
    values: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        BackingSettings.load(**values)
    assert "hunter2" not in str(caught.value)


async def test_adapters_are_chosen_by_name_and_opened_without_their_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.backing.discovery.zookeeper._START_TIMEOUT_S", 0.1)
    settings = BackingSettings.load(
        data=tmp_path,
        is_durable=False,
        discovery="zookeeper",
        # Nobody listens on the first port.
        discovery_url="zookeeper://127.0.0.1:1/parley",
        discovery_session_s=0.5,
        blobs="s3",
        blobs_endpoint="http://127.0.0.1:1",
        blobs_key_id="id",
        blobs_key="key",
    )
    backing = create_backing(Port.DISCOVERY | Port.BLOBS, settings, FakeClock(), Registry())
    await backing.start()
    assert not backing.discovery.is_settled
    with pytest.raises(BackingUnavailable):
        await backing.blobs.stat("a")
    await backing.aclose()
    assert _names(tmp_path) == set()


_SASL = {"bus_sasl": "plain", "bus_username": "ann", "bus_password": "secret"}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"tls_certificate": "a.crt"}, "_TLS_CERTIFICATE and PARLEY_BACKING_TLS_KEY are set"),
        ({"tls_ca": "ca.pem"}, "no URL of a backing server asks for TLS"),
        (_SASL, "would send the password unencrypted"),
        ({"bus_sasl": "plain", "bus_url": "kafka+tls://h:1"}, "are set together"),
        ({"bus_username": "ann"}, "are set together"),
        ({"bus_sasl": "gssapi"}, "PARLEY_BACKING_BUS_SASL"),
        ({"bus_url": "kafkas://h:1"}, "kafka\\+tls://host:port"),
        ({"discovery_url": "zookeepers://h:1"}, "zookeeper\\+tls://"),
    ],
)
def test_contradiction_about_trust_is_refused_with_one_sentence(
    values: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        BackingSettings.load(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"state_url": "rediss://h"},
        {"bus_url": "kafka+tls://h:1"},
        {"discovery_url": "zookeeper+tls://h:1"},
        {"database_url": "postgresql://h/parley?sslmode=verify-full"},
    ],
)
def test_one_server_with_tls_is_enough_for_its_files(values: dict[str, object]) -> None:
    assert BackingSettings.load(tls_ca="ca.pem", **values).tls.ca == Path("ca.pem")


def test_login_to_kafka_is_told_in_the_words_of_its_client() -> None:
    scram = KafkaSecurity(None, "scram-sha-512", "ann", "secret")

    assert scram.arguments() == {
        "security_protocol": "SASL_PLAINTEXT",
        "ssl_context": None,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "ann",
        "sasl_plain_password": "secret",
    }
    assert KafkaSecurity().arguments()["security_protocol"] == "PLAINTEXT"
    assert "secret" not in repr(scram)


@pytest.mark.parametrize(("mode", "checks_name"), [("verify-ca", False), ("verify-full", True)])
def test_postgresql_is_checked_by_the_systems_authorities_where_no_others_are_named(
    mode: str, checks_name: bool
) -> None:
    url, context = tls_of(make_url(f"postgresql+asyncpg://h/p?ssl={mode}"), TlsFiles())

    assert context is not None
    assert context.check_hostname is checks_name
    assert "ssl" not in url.query


def test_postgresql_without_a_check_is_left_to_its_driver() -> None:
    url = make_url("postgresql+asyncpg://h/p?ssl=require")

    assert tls_of(url, TlsFiles()) == (url, None)
