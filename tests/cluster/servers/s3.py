"""An S3 service on local files: s3proxy, whose jars come from Maven."""

import hashlib
import hmac
import http.client
from collections.abc import Sequence
from datetime import datetime

from tests.cluster.servers.base import HOST, Unready
from tests.cluster.servers.java import JavaServer

REGION = "us-east-1"
_TIMEOUT_S = 5.0
_OK = (200, 204, 409)


class S3Server(JavaServer):
    """One S3 service with one bucket, made at its start; requests must be signed (version 4).

    Attributes:
        bucket: there from the start.
        access_key, secret_key: of its one user.
        region: that signatures name.
    """

    name = "s3"
    jars = "s3proxy"
    memory = "192m"
    bucket = "parley"
    access_key = "parley"
    secret_key = "parley-secret"
    region = REGION

    @property
    def url(self) -> str:
        """`http://host:port`: the endpoint, without a bucket."""
        return f"http://{HOST}:{self.port}"

    def _prepare(self) -> Sequence[str]:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        config = self.folder / "s3proxy.properties"
        properties = {
            "s3proxy.endpoint": self.url,
            "s3proxy.authorization": "aws-v2-or-v4",
            "s3proxy.identity": self.access_key,
            "s3proxy.credential": self.secret_key,
            "jclouds.provider": "filesystem",
            "jclouds.identity": self.access_key,
            "jclouds.credential": self.secret_key,
            "jclouds.filesystem.basedir": data,
        }
        lines = [f"{name}={value}\n" for name, value in properties.items()]
        config.write_text("".join(lines), encoding="utf-8")
        return self.java("org.gaul.s3proxy.Main", "--properties", str(config))

    def _probe(self) -> None:
        self._put(f"/{self.bucket}", b"")
        self._put(f"/{self.bucket}/parley-probe", b"1")
        self._send("DELETE", f"/{self.bucket}/parley-probe", b"")

    def _put(self, path: str, body: bytes) -> None:
        self._send("PUT", path, body)

    def _send(self, method: str, path: str, body: bytes) -> None:
        headers = self._signed(method, path, body, self._clock.wall())
        peer = http.client.HTTPConnection(HOST, self.port, timeout=_TIMEOUT_S)
        try:
            peer.request(method, path, body, headers)
            status = peer.getresponse().status
        except http.client.HTTPException as error:
            raise Unready(str(error)) from error
        finally:
            peer.close()
        if status not in _OK:
            raise Unready(f"status {status} of S3 for {method} {path}")

    def _signed(self, method: str, path: str, body: bytes, now: datetime) -> dict[str, str]:
        """Returns the headers of a request, signed as AWS asks (Signature Version 4)."""
        stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        digest = hashlib.sha256(body).hexdigest()
        headers = {
            "host": f"{HOST}:{self.port}",
            "x-amz-content-sha256": digest,
            "x-amz-date": stamp,
        }
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{digest}"
        scope = f"{day}/{self.region}/s3/aws4_request"
        summary = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{self.secret_key}".encode()
        for word in scope.split("/"):
            key = _mac(key, word)
        signature = _mac(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{summary}").hex()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope},"
            f"SignedHeaders={names},Signature={signature}"
        )
        return headers


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
