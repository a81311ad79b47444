"""Start and restart of the all-in-one process."""

import json
import signal
import time

import pytest

from parley.testkit.platform.installation import Installation, end

pytestmark = pytest.mark.timeout(90)

MAX_SECOND_START_S = 15.0
"""Five on an idle machine; tests share theirs."""
KEYS = ["domain", "tenant_id", "sip", "sip_tls", "edges", "extensions", "echo", "api", "wsi"]


def test_the_first_start_tells_all_and_then_that_it_is_ready(installation: Installation) -> None:
    child = installation.start()
    demo = json.loads((installation.data / "demo.json").read_text())
    assert list(demo) == KEYS
    environment = installation.environment
    sip = f"127.0.0.1:{environment['PARLEY_SIP_PORT']}"
    assert (demo["domain"], demo["tenant_id"], demo["echo"]) == ("demo.localhost", "demo", "999")
    assert (demo["sip"], demo["edges"]) == (sip, [sip])
    assert demo["sip_tls"] == f"127.0.0.1:{environment['PARLEY_SIP_TLS_PORT']}"
    assert [entry["number"] for entry in demo["extensions"]] == [str(1001 + n) for n in range(10)]
    assert all(list(entry) == ["number", "password"] for entry in demo["extensions"])
    assert all(len(entry["password"]) >= 12 for entry in demo["extensions"])
    assert (list(demo["api"]), list(demo["wsi"])) == (["url", "token"], ["url", "token"])
    assert demo["api"]["url"] == f"http://127.0.0.1:{environment['PARLEY_API_PORT']}"
    assert demo["wsi"]["url"].startswith(f"ws://127.0.0.1:{environment['PARLEY_WSI_PORT']}/")

    ready = child.lines.index("Parley is ready")
    table = "\n".join(child.lines[:ready])
    for entry in demo["extensions"]:
        assert f"{entry['number']}  password {entry['password']}" in table
    for told in (demo["sip"], demo["sip_tls"], demo["domain"], "999", demo["api"]["token"]):
        assert told in table
    end(child)


def test_a_second_start_keeps_passwords_and_token_and_is_quick(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    end(installation.start())
    before = (installation.data / "demo.json").read_bytes()
    began = time.perf_counter()
    child = installation.start()
    took_s = time.perf_counter() - began
    with capsys.disabled():
        print(f"\nsecond start of the all-in-one: ready in {took_s:.2f} s")
    assert took_s < MAX_SECOND_START_S
    assert (installation.data / "demo.json").read_bytes() == before
    end(child)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_registrations_survive_and_calls_still_reach_the_phone(
    installation: Installation, number: signal.Signals
) -> None:
    child = installation.start()
    caller, callee = installation.phone(0), installation.phone(1)
    callee.register()
    if number is signal.SIGKILL:
        child.kill()
    else:
        end(child)
    child = installation.start()
    [binding] = installation.get("registrations")
    assert binding["aor"] == "sip:1002@demo.localhost"
    assert callee.address in str(binding["contact"])
    mine, _ = caller.call(callee)
    caller.send(caller.in_dialog(mine.new_request("BYE")))
    callee.respond(callee.expect("BYE"), 200)
    end(child)


def test_many_kills_leave_data_that_starts(installation: Installation) -> None:
    for _ in range(3):
        child = installation.spawn()
        child.wait_for_line("Parley is ready", 30.0)
        installation.phone(2).register()
        child.kill()
    child = installation.start()
    assert {entry["aor"] for entry in installation.get("registrations")} == {
        "sip:1003@demo.localhost"
    }
    end(child)
