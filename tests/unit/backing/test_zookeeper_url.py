"""Addresses of a ZooKeeper ensemble."""

import pytest

from parley.backing.discovery.zookeeper_url import (
    DEFAULT_URL,
    ZookeeperUrl,
    parse_zookeeper_url,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEFAULT_URL, ZookeeperUrl("127.0.0.1:2181", "/parley")),
        ("zookeeper://zk", ZookeeperUrl("zk", "/parley")),
        ("zookeeper://a:1,b:2,[::1]:3/x/y/", ZookeeperUrl("a:1,b:2,[::1]:3", "/x/y")),
        ("zookeeper://[::1]/x", ZookeeperUrl("[::1]", "/x")),
        ("zookeeper://me:p%40ss@a:1/x", ZookeeperUrl("a:1", "/x", "me:p@ss")),
    ],
)
def test_hosts_folder_and_credentials_are_read(text: str, expected: ZookeeperUrl) -> None:
    assert parse_zookeeper_url(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a:1",
        "http://a:1",
        "zookeeper://",
        "zookeeper:///folder",
        "zookeeper://a:1,,b:2",
        "zookeeper://a:0",
        "zookeeper://a:99999",
        "zookeeper://a:b",
        "zookeeper://:2181",
        "zookeeper://secret@a:1",
        "zookeeper://:secret@a:1",
        "zookeeper://me:@a:1",
        "zookeeper://me:secret",
        "zookeeper://me:secret/@a:1/x",
        "zookeeper://a:1/../x",
        "zookeeper://a:1/x\ty",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_secrets(text: str) -> None:
    with pytest.raises(ValueError, match="discovery URL") as caught:
        parse_zookeeper_url(text)
    assert "secret" not in str(caught.value)
