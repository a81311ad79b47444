"""The files baresip 1.0 reads, written for a phone without sound card, screen or keyboard.

What had to be found out by trying: `net_interface` takes the address (without it the session
description names another interface); `ausine` speaks 48 kHz only, so the tone is a WAV file that
`aufile` plays unchanged at 8 kHz; a player must exist or nothing is decoded: `aubridge` to nowhere
does; `sndfile` writes what was sent (`-enc`) and heard (`-dec`); TLS listens on the SIP port + 1.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MODULE_PATH = Path("/usr/lib/baresip/modules")
Transport = Literal["udp", "tcp", "tls"]


@dataclass(frozen=True, slots=True)
class Account:
    """Who the phone is.

    Attributes:
        number: user part of the address of record and authentication name.
        password: digest password; empty for a phone that does not register.
        domain: of the address of record.
        server: `host:port` of the edge for `transport`; empty for a phone without one.
        transport: to the server.
        answers: the phone takes calls at once instead of ringing.
        codec: the one codec it offers.
    """

    number: str
    password: str = ""
    domain: str = "127.0.0.1"
    server: str = ""
    transport: Transport = "udp"
    answers: bool = False
    codec: str = "PCMA"

    @property
    def aor(self) -> str:
        """Address of record."""
        return f"sip:{self.number}@{self.domain}"

    def line(self) -> str:
        """The line in the accounts file."""
        parameters = [
            f"auth_user={self.number}",
            f"auth_pass={self.password or 'none'}",
            f"answermode={'auto' if self.answers else 'manual'}",
            f"audio_codecs={self.codec}",
            f"regint={60 if self.server else 0}",
        ]
        if self.server:
            parameters.append(f'outbound="sip:{self.server};transport={self.transport}"')
        return f"<{self.aor};transport={self.transport}>;{';'.join(parameters)}\n"


@dataclass(frozen=True, slots=True)
class PhonePorts:
    """Ports of one phone: SIP (and TLS on the next), control, and a range for RTP."""

    sip: int
    control: int
    rtp_first: int
    rtp_last: int


def write_config(folder: Path, account: Account, ports: PhonePorts, host: str, tone: Path) -> None:
    """Fills a folder for `baresip -f`; recordings go there too."""
    settings = {
        "poll_method": "epoll",
        "sip_listen": f"{host}:{ports.sip}",
        "net_interface": host,
        "call_local_timeout": "120",
        "call_max_calls": "4",
        "statmode_default": "off",
        "audio_path": str(folder),
        "audio_player": "aubridge,nowhere",
        "audio_alert": "aubridge,nowhere",
        "audio_source": f"aufile,{tone}",
        "ausrc_format": "s16",
        "auplay_format": "s16",
        "rtp_ports": f"{ports.rtp_first}-{ports.rtp_last}",
        "rtcp_mux": "no",
        "snd_path": str(folder),
        "ctrl_tcp_listen": f"127.0.0.1:{ports.control}",
        "module_path": str(MODULE_PATH),
    }
    lines = [f"{name} {value}" for name, value in settings.items()]
    lines += [f"module {name}.so" for name in ("g711", "aufile", "aubridge", "sndfile")]
    lines += ["module_tmp account.so", "module_app menu.so", "module_app ctrl_tcp.so", ""]
    (folder / "config").write_text("\n".join(lines))
    (folder / "accounts").write_text(account.line())
    (folder / "contacts").touch()
