"""The committed catalogue is what the installed libraries say."""

from itertools import chain

import pytest
from mill_contracts.algorithms import Algorithm, catalogue
from mill_contracts.recipe import Task
from mill_trainer.catalogue import generate
from mill_trainer.catalogue.__main__ import main
from mill_trainer.train.estimators import construct, families


def test_the_written_catalogue_is_not_stale() -> None:
    assert main(["--check"]) == 0
    assert generate() == catalogue()


def test_every_library_takes_the_defaults_of_the_catalogue() -> None:
    for family in families():
        for task in Task:
            if family.class_for(task) is None:
                continue
            algorithm = catalogue().algorithm(family.framework, task, family.name)
            defaults = {name: parameter.default for name, parameter in algorithm.parameters.items()}
            estimator = construct(family, task, algorithm.canonical(defaults), seed=1, threads=1)
            assert set(defaults) <= set(estimator.get_params())


@pytest.mark.parametrize("algorithm", catalogue().algorithms, ids=lambda one: f"{one.framework}-{one.task}-{one.name}")
def test_every_whole_number_has_an_end(algorithm: Algorithm) -> None:
    for name, parameter in algorithm.parameters.items():
        items = (form.items for form in parameter.any_of if form.items is not None)
        for form in chain(parameter.any_of, items):
            assert form.type != "integer" or form.maximum is not None, name


@pytest.mark.parametrize(
    "name", ["n_estimators", "num_boost_round", "num_iterations", "max_iter", "hidden_layer_sizes"]
)
def test_a_count_that_would_block_the_queue_is_refused_with_the_end_named(name: str) -> None:
    absurd = [1_000_000_000] if name == "hidden_layer_sizes" else 1_000_000_000
    takers = [one for one in catalogue().algorithms if one.aliases.get(name, name) in one.parameters]
    assert takers
    for algorithm in takers:
        problems = algorithm.check({name: absurd})
        assert [problem.pointer for problem in problems] == [f"/parameters/{name}"]
        assert "≤" in problems[0].detail


def test_a_default_lies_within_its_own_bounds() -> None:
    for algorithm in catalogue().algorithms:
        given = {name: one.default for name, one in algorithm.parameters.items() if one.default is not None}
        assert algorithm.check(given) == []
