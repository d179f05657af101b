import os
import subprocess
import sys
from pathlib import Path

import pytest

from ninjacam.throttle import SIZE_BYTES, Throttle, client_address, network_of


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(tmp_path: Path, clock: Clock) -> Throttle:
    return Throttle(tmp_path / "run" / "throttle", b"secret", clock)


def test_a_bucket_holds_its_size_and_refills(throttle: Throttle, clock: Clock) -> None:
    assert [throttle.take("a", burst=3, every_s=10) for _ in range(5)] == [0, 0, 0, 10, 10]
    assert throttle.take("b", burst=3, every_s=10) == 0, "another key"
    clock.now += 9
    assert throttle.take("a", burst=3, every_s=10) == pytest.approx(1)
    clock.now += 1
    assert [throttle.take("a", burst=3, every_s=10) for _ in range(2)] == [0, 10]
    clock.now += 1000
    assert [throttle.take("a", burst=3, every_s=10) > 0 for _ in range(4)] == [False] * 3 + [True]


def test_returned_tokens_can_be_taken_again(throttle: Throttle) -> None:
    for _ in range(50):
        assert throttle.take("a", burst=2, every_s=60) == 0
        throttle.give_back("a", every_s=60)
    assert [throttle.take("a", burst=2, every_s=60) > 0 for _ in range(3)] == [False, False, True]


def test_claims_and_marks_expire(throttle: Throttle, clock: Clock) -> None:
    assert [throttle.claim("a", every_s=60) for _ in range(3)] == [True, False, False]
    throttle.mark("m", for_s=60)
    clock.now += 59
    assert throttle.is_marked("m") and not throttle.is_marked("n") and not throttle.claim("a", every_s=60)
    clock.now += 1
    assert not throttle.is_marked("m") and throttle.claim("a", every_s=60)


def test_processes_share_the_limits(throttle: Throttle, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from ninjacam.throttle import Throttle\n"
        f"throttle = Throttle(Path({str(tmp_path / 'run' / 'throttle')!r}), b'secret', lambda: 1_000_000.0)\n"
        "print('ready', flush=True); input()\n"
        "print(sum(throttle.take('a', burst=10_000, every_s=60) == 0 for _ in range(4_000)))"
    )
    command = [sys.executable, "-c", program]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, **pipes) for _ in range(3)]  # type: ignore[call-overload] # of the dict
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    taken = [int(process.communicate(timeout=60)[0]) for process in running]
    assert sum(taken) == 10_000 and throttle.take("a", burst=10_000, every_s=60) > 0


def test_a_forked_process_shares_the_limits(throttle: Throttle) -> None:
    assert throttle.take("a", burst=2, every_s=60) == 0
    child = os.fork()
    if not child:
        os._exit(int(throttle.take("a", burst=2, every_s=60)))
    assert os.waitpid(child, 0)[1] == 0
    assert throttle.take("a", burst=2, every_s=60) > 0


def test_a_flood_of_keys_uses_no_more_space_and_evicts_no_full_bucket(
    throttle: Throttle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ninjacam.throttle.SETS", 4)  # 32 keys
    assert [throttle.take("owner", burst=5, every_s=60) for _ in range(5)] == [0] * 5
    for number in range(1000):
        throttle.take(f"stranger-{number}", burst=5, every_s=60)
    assert throttle.take("owner", burst=5, every_s=60) > 0
    assert (tmp_path / "run" / "throttle").stat().st_size == SIZE_BYTES
    assert (tmp_path / "run" / "throttle").stat().st_mode & 0o777 == 0o600


def test_without_a_file_limits_apply_within_the_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run").write_text("not a directory")
    throttle = Throttle(tmp_path / "run" / "throttle", b"secret")
    assert [throttle.take("a", burst=1, every_s=60) > 0 for _ in range(3)] == [False, True, True]
    assert caplog.text.count("cannot be used") == 1


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "victim").write_bytes(b"x")
    (tmp_path / "run" / "throttle").symlink_to(tmp_path / "victim")
    throttle = Throttle(tmp_path / "run" / "throttle", b"secret")
    assert [throttle.take("a", burst=1, every_s=60) > 0 for _ in range(2)] == [False, True]
    assert (tmp_path / "victim").read_bytes() == b"x"


def test_unusual_names_are_valid_keys(throttle: Throttle) -> None:
    for key in ("", "\0", "\ud800", "é" * 1000):
        assert [throttle.claim(key, every_s=60) for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", ""),
        ("::1", ""),
        ("", ""),
        ("testclient", ""),
    ],
)
def test_limits_apply_to_a_network(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # addresses claimed by the client do not count
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "10.9.9.9, 198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "198.51.100.1, 127.0.0.1", "198.51.100.1"),
        ("", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "x" * 5000, "x" * 1000),
    ],
)
def test_only_a_trusted_proxy_sets_the_client_address(remote: str, forwarded: str, address: str) -> None:
    assert client_address(remote, forwarded) == address
