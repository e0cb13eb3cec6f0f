"""Small models made on the spot, so that a prepared sandbox has gone through every import once. Called by `room.prepare`."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# The ML libraries are untyped or partly typed; this module only feeds them eight rows.

import importlib

import numpy as np
from mill_contracts.adoption import ModelFramework


def examples(framework: ModelFramework) -> list[bytes]:
    """Good files of the framework; none where no library takes part."""
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 2))
    y = (x[:, 0] > 0).astype(np.int64)
    match framework:
        case ModelFramework.XGBOOST:
            import xgboost

            matrix = xgboost.DMatrix(x, y)
            booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 1)
            return [bytes(booster.save_raw("ubj"))]
        case ModelFramework.LIGHTGBM:
            import lightgbm

            data = lightgbm.Dataset(x, y, params={"verbose": -1, "min_data_in_leaf": 2})
            settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 2}
            return [lightgbm.train(settings, data, 1).model_to_string().encode()]
        case ModelFramework.SKLEARN:
            return _estimators(x, y)
        case ModelFramework.ONNX:
            importlib.import_module("mill_pack.outside.onnx")
            return []


def _estimators(x: np.ndarray, y: np.ndarray) -> list[bytes]:
    """Every family of estimators is imported; skops looks their modules up by name."""
    import skops.io
    from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    warm = (
        RandomForestClassifier(2, max_depth=2, n_jobs=1),
        GradientBoostingClassifier(n_estimators=1),
        HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=2),
        MLPClassifier((2,), max_iter=200, tol=1.0),
        make_pipeline(SimpleImputer(), StandardScaler(), MinMaxScaler(), LogisticRegression()),
    )
    return [skops.io.dumps(estimator.fit(x, y)) for estimator in warm]
