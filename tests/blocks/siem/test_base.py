"""What all SIEM blocks share: addresses without keys in them, the key for hashes, fingerprints."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from blocks.siem import base
from blocks.siem.addresses import url_problem
from blocks.siem.archive.block import Archive
from blocks.siem.base import HASH_KEY_MIN
from blocks.siem.elasticsearch.block import Elasticsearch
from blocks.siem.otlp.block import Otlp
from blocks.siem.sentinel.block import Sentinel
from blocks.siem.splunk.block import SplunkSiem
from blocks.siem.sumo_logic.block import SumoLogicSiem
from blocks.siem.webhook.block import Webhook

if TYPE_CHECKING:
    from blocks.siem.base import SiemBlock

KEY = "a-key-of-someone"
GUIDS = dict.fromkeys(("tenant_id", "client_id"), "00000000-0000-0000-0000-000000000000")


def at(url: str) -> list[SiemBlock]:
    """A block of every kind that keeps an address where it is shown."""
    secret = SecretStr("x" * 40)
    rule = {"rule_id": f"dcr-{'0' * 32}", "client_secret": secret, **GUIDS}
    return [
        SplunkSiem(url=url, token=secret),
        Otlp(url=url),
        Elasticsearch(url=url, api_key=secret),
        Sentinel(endpoint=url, **rule),
        Sentinel(endpoint="https://x.example", authority=url, **rule),
        Archive(url="s3://bucket", endpoint=url),
    ]


class TestAddresses:
    @pytest.mark.parametrize("more", [f"?token={KEY}", f"/path?sig={KEY}", f"#{KEY}"])
    def test_a_key_in_a_public_address_is_a_problem_and_not_shown(self, more: str) -> None:
        for block in at(f"https://siem.example{more}"):
            (problem,) = block.problems()
            assert problem.description == "it holds more than the address"
            assert KEY not in str(problem)

    def test_without_one_they_are_good(self) -> None:
        assert not [problem for block in at("https://siem.example:8088/path") for problem in block.problems()]

    def test_no_problem_shows_the_key_of_an_address(self) -> None:
        assert KEY not in str(url_problem("block.url", f"ftp://x?{KEY}"))

    @pytest.mark.parametrize("kind", [Webhook, SumoLogicSiem])
    def test_where_the_whole_address_is_a_secret_it_may_hold_one(self, kind: type[Webhook | SumoLogicSiem]) -> None:
        assert not list(kind(url=SecretStr(f"https://siem.example/path?sig={KEY}")).problems())


class TestHashKey:
    @pytest.mark.parametrize(("key", "places"), [("x" * (HASH_KEY_MIN - 1), ["block.hash_key"]), ("x" * 16, [])])
    def test_a_rule_that_hashes_needs_a_long_one(self, key: str, places: list[str]) -> None:
        block = Otlp(url="https://siem.example", rules=[{"hash": ["@emails"]}], hash_key=SecretStr(key))
        assert [problem.path for problem in block._rule_problems()] == places

    def test_where_nothing_is_hashed_it_does_not_matter(self) -> None:
        block = Otlp(url="https://siem.example", rules=[{"mask": ["@emails"]}], hash_key=SecretStr("x"))
        assert block.ensure_valid() is block

    @pytest.mark.parametrize(("key", "places"), [("", ["block.rules[0].hash"]), ("****", ["block.hash_key"])])
    def test_a_missing_or_masked_secret_is_reported_once(self, key: str, places: list[str]) -> None:
        block = Otlp(url="https://siem.example", rules=[{"hash": ["@emails"]}], hash_key=SecretStr(key))
        found = [*block._secret_problems(), *block._rule_problems()]
        assert [problem.path for problem in found] == places


class TestFingerprint:
    def test_a_fingerprint_has_a_slow_hash_of_each_secret(self) -> None:
        block = Otlp(url="https://siem.example", headers=SecretStr("a=b"))
        slow = hashlib.scrypt(b"a=b", salt=b"onepassword-source.otlp.headers", n=2**12, r=8, p=1, dklen=32).hex()
        plain = {**block.public_settings(), "headers": slow, "hash_key": ""}
        del plain["with_names"]  # it came later: while it is not set, the fingerprint is as it was without it
        made = hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=16).hexdigest()
        assert block.fingerprint() == made

    def test_a_fingerprint_changes_with_names(self) -> None:
        url = "https://siem.example"
        assert Otlp(url=url).fingerprint() == Otlp(url=url, with_names=False).fingerprint()
        assert Otlp(url=url).fingerprint() != Otlp(url=url, with_names=True).fingerprint()

    def test_the_fingerprint_depends_on_each_secret_and_its_member(self) -> None:
        blocks = [
            Otlp(url="https://siem.example", headers=SecretStr(headers), hash_key=SecretStr(key))
            for headers, key in (("", ""), ("a=b", ""), ("", "a=b"), ("a=c", ""), ("a=b", "a=b"))
        ]
        assert len({block.fingerprint() for block in blocks}) == len(blocks)

    def test_a_secret_is_worked_on_once_in_a_process(self) -> None:
        base._slow_hash.cache_clear()
        for _ in range(3):
            Otlp(url="https://siem.example", headers=SecretStr("a=\ud800")).fingerprint()
        assert base._slow_hash.cache_info().misses == len(("headers", "hash_key"))
