"""A11: indices, lengths and numbers of a model file that are not what they must be. The readers refuse, or the sandbox dies alone.

The long form (`MILL_TEST_LONG=1`) tries 10,000 mutants of each format; the short one a seeded handful.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false, reportUnnecessaryIsInstance=false
# What numpy and the sandbox hand over is untyped.

import json
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mill_contracts.adoption import ModelFileFormat
from mill_pack import EnginePayload, InvalidPackage
from mill_pack.engines.registry import load_engine, shape_of
from mill_pack.outside import FoundModel
from mill_trainer.adopt.sandbox.client import Reply, Sandbox

from tests.security.evidence import SEED, Evidence, sized
from tests.security.good_models import FRAMEWORKS, Good, good_models
from tests.security.mutants import Mutants
from tests.security.payloads import Canary, canary
from tests.security.ubj import to_ubj

TESTS = "test_a11_tree_indices.py"
SECONDS = 10.0
FULL = 10_000
TOGETHER = 50
"""Mutants that one child reads, as long as none of them ends it."""
KINDS = list(ModelFileFormat)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Canary]:
    with canary(tmp_path) as watching:
        yield watching


def served(reply: Reply, rows: Any) -> Any:
    """What our own engine answers with what came out of the sandbox."""
    assert reply.said is not None, reply.reason
    assert "found" in reply.said, reply.said
    found = FoundModel.model_validate(reply.said["found"])
    payload = EnginePayload(found.engine, {reply.said["file"]: reply.body})
    classes = [str(number) for number in range(found.outputs)] if found.is_classifier else []
    engine = load_engine(payload.kind, payload.files, shape_of(found.width, classes))
    if found.steps:
        with np.errstate(all="ignore"):  # a mutant's scale may be anything
            rows = (rows - [step.shift for step in found.steps]) / [step.scale for step in found.steps]
    return engine.outputs(np.ascontiguousarray(rows))


def as_documents(kind: ModelFileFormat, goods: list[Good]) -> list[Good]:
    """UBJ models as JSON, which their mutator changes before it writes UBJ again."""
    if kind is not ModelFileFormat.XGBOOST_UBJ:
        return goods
    return good_models(ModelFileFormat.XGBOOST_JSON)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", KINDS)
def test_no_mutant_runs_code_or_kills_more_than_its_sandbox(kind: ModelFileFormat, watched: Canary) -> None:
    evidence = Evidence(31, f"Malicious model files do no harm: {kind.value}", TESTS, full=FULL)
    goods = good_models(kind)
    wanted = sized(60, FULL)
    ways: Counter[str] = Counter()
    slowest, late, deaths = 0.0, 0, 0
    with Sandbox(FRAMEWORKS[kind], memory_bytes=2**30, seconds=SECONDS) as sandbox:
        for good in goods:
            answers = served(sandbox.ask("read", good.data), good.rows)
            np.testing.assert_allclose(answers, good.expected, rtol=2e-6, atol=2e-6, err_msg=good.name)
        mutants = iter(Mutants(kind, as_documents(kind, goods), watched, SEED))
        for at in range(0, wanted, TOGETHER):
            started = time.monotonic()
            for reply in sandbox.ask_all("read", list(islice(mutants, min(TOGETHER, wanted - at)))):
                taken, started = time.monotonic() - started, time.monotonic()
                way = _way(reply)
                if way == "accepted":
                    way = _serve(reply)
                ways[way] += 1
                slowest, late = max(slowest, taken), late + (taken > SECONDS)
                harmed = watched.sang or not sandbox.alive
                deaths += not sandbox.alive
                evidence.count(failed=harmed)
                assert not harmed, f"mutant {evidence.trials} of seed {SEED}"
        for good in goods:
            assert "found" in (sandbox.ask("read", good.data).said or {}), good.name
    evidence.figures |= dict(sorted(ways.items()))
    evidence.figures |= {
        "code executions": int(watched.sang),
        "deaths outside the sandbox": deaths,
        "not classified within 10 s": late,
        "slowest seconds": round(slowest, 2),
        "good models": len(goods),
        "good models accepted": len(goods),
    }
    evidence.keep()
    assert late <= wanted / 1000


def _way(reply: Reply) -> str:
    if reply.said is None:
        return f"sandbox: {reply.reason}"
    return "accepted" if "found" in reply.said else "refused"


def _serve(reply: Reply) -> str:
    """An accepted mutant is a sound model: what it answers is nobody's business, but it must answer, or be refused again."""
    width = (reply.said or {})["found"]["width"]
    try:
        served(reply, np.random.default_rng(0).normal(size=(20, width)))
    except InvalidPackage:
        return "refused by the package"
    return "accepted"


def _chain(depth: int) -> dict[str, Any]:
    """An XGBoost model of one tree that is a single path of so many splits."""
    good = json.loads(good_models(ModelFileFormat.XGBOOST_JSON)[0].data)
    tree = good["learner"]["gradient_booster"]["model"]["trees"][0]
    count = 2 * depth + 1
    numbers = np.arange(count)
    inner = (numbers % 2 == 0) & (numbers < count - 1)
    tree["left_children"] = np.where(inner, numbers + 1, -1).tolist()
    tree["right_children"] = np.where(inner, numbers + 2, -1).tolist()
    tree["parents"] = [2147483647, *((numbers[1:] - 1) // 2 * 2).tolist()]
    for name in ("split_indices", "default_left", "split_type"):
        tree[name] = [0] * count
    for name in ("split_conditions", "base_weights", "loss_changes"):
        tree[name] = [0.5] * count
    tree["sum_hessian"] = [1.0] * count
    tree["tree_param"]["num_nodes"] = str(count)
    return good


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_trees_a_million_deep_and_cycles_are_refused_in_words() -> None:
    cycle = _chain(3)
    cycle["learner"]["gradient_booster"]["model"]["trees"][0]["right_children"][0] = 0
    with Sandbox(FRAMEWORKS[ModelFileFormat.XGBOOST_UBJ], memory_bytes=2**31, seconds=60) as sandbox:
        for document in (_chain(sized(20_000, 1_000_000)), cycle):
            said = sandbox.ask("read", to_ubj(document)).said
            assert said is not None
            assert said["refused"]["slug"] == "model-file-rejected"
        assert sandbox.alive
