"""The committed catalogue is what the installed libraries say."""

from mill_contracts.algorithms import catalogue
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
