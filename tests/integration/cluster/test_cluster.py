"""A whole local cluster from outside: what it tells, what dies with it, what comes back."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import pytest
from tests.cluster.guard import birth
from tests.cluster.topology import SERVICES

from parley.testkit.platform.cluster import ClusterControl, Part
from parley.testkit.platform.running import Platform, Topology

_WAIT_S = 30.0

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory,
    all_servers: None,
    untimed: Callable[[], AbstractContextManager[None]],
) -> Iterator[Platform]:
    with untimed():
        running = Platform(Topology.CLUSTER, tmp_path_factory.mktemp("cluster"))
    try:
        yield running
    finally:
        with untimed():
            running.stop()


def _cli(cluster: Platform, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster", *words],
        env={**os.environ, "PARLEY_CLUSTER_DATA": str(cluster.folder / "data")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _part(control: ClusterControl, name: str) -> Part:
    return {**control.processes, **control.servers}[name]


def _until(is_true: Callable[[], bool], complaint: str) -> None:
    until = time.perf_counter() + _WAIT_S
    while not is_true():
        assert time.perf_counter() < until, complaint
        time.sleep(0.05)


def test_two_of_every_service_are_ready_and_in_discovery(cluster: Platform) -> None:
    status = json.loads(_cli(cluster, "status", "--json"))
    assert status["problems"] == []
    assert all(each["is_ready"] for each in status["processes"])
    assert all(each["is_running"] for each in status["servers"])
    control = cluster.control
    for spec in SERVICES:
        # The edge on an address of its own is the third.
        wanted = 3 if spec.service == "edgeproxy" else 2
        assert len(control.of(spec.service)) == wanted
        if spec.is_named:
            found = [each for each in status["instances"] if each["service"] == spec.service]
            assert [each["state"] for each in found] == ["ready"] * wanted
    assert [each["has_lease"] for each in status["callmanagers"]] == [True, True]
    assert len(status["relays"]) == 2


def test_the_status_is_shown_as_tables(cluster: Platform) -> None:
    text = _cli(cluster, "status")
    for word in ("callmanager-1", "zookeeper", "Media relays", "zone-b"):
        assert word in text


def test_both_gateways_know_what_one_was_told(cluster: Platform) -> None:
    demo = cluster.demo
    headers = {"Authorization": f"Bearer {demo.api_token}"}
    pages = [
        httpx2.get(f"{url}/v1/tenants/{demo.tenant_id}", headers=headers, timeout=5.0).json()
        for url in cluster.control.api_urls
    ]
    assert len(pages) == 2
    assert pages[0] == pages[1]


@pytest.mark.parametrize("name", ["edgeproxy-1", "accounting-2", "redis"])
def test_what_was_killed_is_started_again_when_asked_for(cluster: Platform, name: str) -> None:
    before = _part(cluster.control, name)
    os.kill(before.pid, signal.SIGKILL)
    _until(lambda: _part(cluster.control, name).pid == 0, "the death was not noticed")
    _cli(cluster, "restart", name)
    after = _part(cluster.control, name)
    assert after.pid not in {0, before.pid}
    assert after.ports == before.ports


def test_restarting_what_is_not_there_is_refused(cluster: Platform) -> None:
    control = cluster.control
    url = f"{control.url}/restart/nothing"
    refused = httpx2.post(url, timeout=5.0)
    unknown = httpx2.post(url, headers={"Authorization": f"Bearer {control.token}"}, timeout=5.0)
    assert (refused.status_code, unknown.status_code) == (401, 404)


def test_nothing_outlives_a_killed_supervisor(
    tmp_path: Path,
    all_servers: None,
    untimed: Callable[[], AbstractContextManager[None]],
) -> None:
    with untimed():
        running = Platform(
            Topology.CLUSTER, tmp_path, ["127.0.0.1"], {"PARLEY_CLUSTER_INSTANCES": "1"}
        )
    control = running.control
    parts = [*control.processes.values(), *control.servers.values()]
    born = {part.pid: birth(part.pid) for part in parts}
    assert all(born.values())
    os.kill(control.pid, signal.SIGKILL)
    _until(
        lambda: not any(birth(pid) == since for pid, since in born.items()), "a process lives on"
    )
