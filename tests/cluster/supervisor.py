"""Wires a local cluster: folder, servers, preparation, processes, and an eye on all of them."""

import os
from collections.abc import Sequence

from tests.cluster.backing_servers import BackingServers
from tests.cluster.control import (
    FILE_NAME,
    Control,
    ProcessEntry,
    ServerEntry,
    remove_control,
    write_control,
)
from tests.cluster.forks import Nursery
from tests.cluster.liveness import Liveness
from tests.cluster.plan import plan
from tests.cluster.ports import free_port, withhold
from tests.cluster.preparation import Preparation
from tests.cluster.processes import Processes
from tests.cluster.settings import ClusterSettings
from tests.cluster.topology import SERVICES
from tests.cluster.trust import ClusterTrust
from tests.cluster.watch import Watch

from parley.allinone.data_folder import DataFolder
from parley.allinone.demo import DOMAIN, Addresses, Demo, table
from parley.service.clock import Clock
from parley.service.http import HttpServer
from parley.service.ids import RandomIds
from parley.service.lifecycle import Service

_TOKEN_BYTES = 16


class Cluster:
    """A local cluster."""

    def __init__(self, settings: ClusterSettings, clock: Clock) -> None:
        """Picks the ports.

        Raises:
            StartError: the data folder is another cluster's or cannot be used.
        """
        self._settings = settings
        withhold(settings.sip_port, settings.sip_tls_port, settings.api_port, settings.wsi_port)
        self._folder = DataFolder(settings.data)
        hosts = (settings.host, *settings.edge_hosts)
        names = [DOMAIN, "localhost", *hosts]
        secrets = self._folder.open(names, clock.wall())
        host, data = settings.host, settings.data.absolute()
        self._data = data
        self._token = RandomIds().token(_TOKEN_BYTES)
        self._trust = trust = ClusterTrust(data / "tls", clock.wall(), is_tls=settings.tls)
        self._servers = BackingServers(data / "servers", settings.state, trust.server)
        self._preparation = Preparation(
            lambda: self._servers.urls.postgresql,
            trust.client(),
            Addresses(
                sip=f"{host}:{settings.sip_port}",
                sip_tls=f"{host}:{settings.sip_tls_port}",
                edges=[f"{each}:{settings.sip_port}" for each in hosts],
                api_url=f"http://{host}:{settings.api_port}",
                wsi_url=f"ws://{host}:{settings.wsi_port}/v1/events",
            ),
            data / "demo.json",
            clock,
        )
        logs = data / "logs"
        self._nursery = Nursery(logs / "nursery.log", [spec.module for spec in SERVICES])
        self._processes = Processes(
            lambda: plan(settings, self._servers.urls, secrets, free_port, trust.process),
            self._nursery,
            logs,
            clock,
        )
        self._watch = Watch(
            self._servers.servers, self._processes, settings.restart_s, clock, self.write_control
        )
        self._liveness: tuple[Service, ...] = ()
        if settings.liveness_s is not None:
            self._liveness = (
                Liveness(
                    self._processes,
                    self._watch,
                    clock,
                    settings.liveness_s,
                    settings.liveness_of,
                ),
            )
        self._interface = HttpServer(
            self._watch.interface(self._token), host, 0, name="The cluster's control port"
        )

    def services(self) -> Sequence[Service]:
        """Everything, in the order of its start."""
        return (
            self._folder,
            self._nursery,
            self._servers,
            self._preparation,
            self._processes,
            self._interface,
            self._watch,
            *self._liveness,
            _ControlFile(self),
        )

    def announcement(self) -> str:
        """What a person is told when all is ready."""
        assert self._preparation.demo is not None
        demo: Demo = self._preparation.demo
        places = {"logs": self._data / "logs", "control file": self._data / FILE_NAME}
        rows = "".join(f"  {name:<12}  {place}\n" for name, place in places.items())
        return f"\n{table(demo)}{rows}\nParley is ready\n"

    def write_control(self) -> None:
        """Writes `control.json` anew."""
        settings, processes = self._settings, self._processes
        host = settings.host
        entries = [
            ProcessEntry(
                name=each.name,
                service=each.spec.service,
                number=each.number,
                host=each.host,
                pid=processes.pid(each.name),
                ports=dict(each.ports),
                health=f"http://{each.host}:{each.health_port}",
                log=str(processes.log(each.name)),
            )
            for each in processes.plans
        ]
        api = [each.ports["port"] for each in entries if each.service == "restgateway"]
        wsi = [each.ports["port"] for each in entries if each.service == "wsigateway"]
        control = Control(
            pid=os.getpid(),
            url=f"http://{host}:{self._interface.port}",
            token=self._token,
            host=host,
            sip=f"{host}:{settings.sip_port}",
            sip_tls=f"{host}:{settings.sip_tls_port}",
            api_urls=[f"http://{host}:{port}" for port in api],
            wsi_urls=[f"ws://{host}:{port}/v1/events" for port in wsi],
            servers=[
                ServerEntry(
                    name=server.name,
                    pid=server.pid if server.is_running else 0,
                    url=server.url,
                    log=str(server.folder / f"{server.name}.log"),
                )
                for server in self._servers.servers
            ],
            processes=entries,
            backing={**self._servers.urls.environment(), **self._trust.backing()},
            demo=str(self._data / "demo.json"),
        )
        write_control(self._data, control)

    def remove_control(self) -> None:
        """Removes `control.json`."""
        remove_control(self._data)


class _ControlFile:
    """The control file as the last service: it is there while all runs."""

    name = "control file"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def start(self) -> None:
        self._cluster.write_control()

    async def drain(self, timeout_s: float) -> None:
        """Removes the file: from now on nothing is where it says."""
        self._cluster.remove_control()

    async def aclose(self) -> None:
        self._cluster.remove_control()

    def is_ready(self) -> bool:
        return True
