"""Where blobs on S3 lie."""

from typing import NamedTuple

_SCHEME = "s3://"


class S3Place(NamedTuple):
    """Where the blobs lie, and who asks.

    Attributes:
        url: `s3://bucket` or `s3://bucket/folder`.
        region: the bucket's.
        endpoint: URL of a server that is not Amazon's.
        key_id, key: credentials; without them the environment's identity is used.
    """

    url: str
    region: str = "us-east-1"
    endpoint: str | None = None
    key_id: str | None = None
    key: str | None = None


def bucket_and_folder(url: str) -> tuple[str, str]:
    """Splits a URL; the folder is empty when there is none.

    Raises:
        ValueError: it names no bucket.
    """
    bucket, _, folder = url.removeprefix(_SCHEME).partition("/")
    if not url.startswith(_SCHEME) or not bucket:
        raise ValueError("the URL of the blobs is s3://bucket or s3://bucket/folder")
    return bucket, folder.strip("/")
