"""Promise 28, small: what `make test-contract` does at length, as one role and with the calls that cover each schema's edges once."""

import pytest
from mill_contracts.tokens import Role

from tests.security import contract


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ml_service_answers_as_it_says() -> None:
    findings = contract.Findings()
    with contract.services() as found:
        contract.explore_serving(found, findings, role=Role.USER, examples=1, phases="fuzzing")
    assert findings.operations >= 30
    assert findings.failures == []


def test_every_part_of_the_api_is_explored() -> None:
    assert len(contract.parts_of_the_api()) >= 12
