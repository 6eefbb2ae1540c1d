"""The alert rules: they parse, and every metric that they name is on the page."""

import os
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from chains.defaults import DEFAULT_CHAINS
from chains.errors import RpcUnavailable
from chains.rpc import ChainClients
from tests.support.leader import leading
from tests.support.vault_app import client, make_app
from vault.context import Context
from vault.health.host import Host, HostReport, write
from vault.metrics import counts
from vault.metrics.middleware import CountRequests
from vault.metrics.router import router

RULES = Path(__file__).parents[3] / "docs" / "alerts.yml"
METRIC = re.compile(r"\btalon_[a-z_]+\b")


async def test_every_metric_in_the_rules_is_on_the_page(context: Context) -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    rules = group["rules"]
    for rule in rules:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
    assert len({rule["alert"] for rule in rules}) == len(rules) > 10

    report = os.memfd_create("report")
    write(report, Host(restarts={"api-1": 2}, disk_free=10**9, disk_size=10**10, at=time.monotonic()))
    counts.storage_lost()
    chains = ChainClients({1: ("http://127.0.0.1:1",)}, timeout_s=5)
    with pytest.raises(RpcUnavailable):
        await chains.for_chain(next(chain for chain in DEFAULT_CHAINS if chain.chain_id == 1)).call("eth_chainId", [])
    app = make_app(replace(context, host=HostReport(report), chains=chains), (router,))
    app.add_middleware(CountRequests)
    async with leading(context.database), client(app, peer="127.0.0.1") as http:
        await http.get("/nothing-here")
        answer = await http.get("/metrics")
    os.close(report)
    await chains.close()
    assert answer.status_code == 200
    shown = {sample.name: sample for each in text_string_to_metric_families(answer.text) for sample in each.samples}
    named = {name for rule in rules for name in METRIC.findall(rule["expr"])}
    assert named - set(shown) == set()
    assert shown["talon_healthy"].value == shown["talon_worker_up"].value == 1
    assert (shown["talon_restarts_total"].labels, shown["talon_restarts_total"].value) == ({"process": "api-1"}, 2)
    assert shown["talon_disk_free_bytes"].value == 10**9
    down = shown["talon_endpoint_up"]
    assert (down.labels, down.value) == ({"chain_id": "1", "endpoint": "1"}, 0)
