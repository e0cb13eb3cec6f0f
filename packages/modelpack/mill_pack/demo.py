"""The two demo models that ship with Modelmill: `python -m mill_pack.demo OUT_DIR` writes them. No training library is needed.

Their coefficients are chosen by hand, so that a first prediction can be understood and tried with `curl`.
"""

import argparse
from pathlib import Path

import numpy as np
from mill_contracts.recipe import Task
from mill_contracts.tables import ColumnKind

from mill_pack.encoding import Encoder, EncoderDocument
from mill_pack.encoding.document import NumericOutput
from mill_pack.engines.linear import linear_payload
from mill_pack.manifest import JsonValue, ManifestDraft, Postprocessing
from mill_pack.packing import PackageInfo, write_package
from mill_pack.signature import FeatureSpec

FEATURES = ("feature1", "feature2", "feature3", "feature4")
_SPREAD = ((5.8, 0.8), (3.0, 0.4), (3.8, 1.8), (1.2, 0.8))


def write_demo_models(folder: Path) -> dict[str, PackageInfo]:
    """`demo_model_1.mill` (two classes) and `demo_model_2.mill` (a number) into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "demo_model_1": _classifier(folder / "demo_model_1.mill"),
        "demo_model_2": _regressor(folder / "demo_model_2.mill"),
    }


def _classifier(path: Path) -> PackageInfo:
    draft = ManifestDraft(
        model_id="00000000-0000-7000-8000-000000000001",
        model_version_id="00000000-0000-7000-8000-000000000011",
        name="demo_model_1",
        version=1,
        task=Task.CLASSIFICATION,
        target="label",
        classes=("negative", "positive"),
        postprocessing=Postprocessing(positive_class="positive", low_confidence_below=0.6),
        lineage={"made_by": "mill_pack.demo"},
    )
    payload = linear_payload(np.array([[0.9, -0.6, 1.4, 1.1]]), np.array([-0.3]))
    return write_package(path, draft=draft, encoder=_encoder(), payload=payload, golden_rows=_rows())


def _regressor(path: Path) -> PackageInfo:
    draft = ManifestDraft(
        model_id="00000000-0000-7000-8000-000000000002",
        model_version_id="00000000-0000-7000-8000-000000000012",
        name="demo_model_2",
        version=1,
        task=Task.REGRESSION,
        target="value",
        lineage={"made_by": "mill_pack.demo"},
    )
    payload = linear_payload(np.array([[12.5, -4.0, 7.5, 3.0]]), np.array([100.0]))
    return write_package(path, draft=draft, encoder=_encoder(), payload=payload, golden_rows=_rows())


def _encoder() -> Encoder:
    features = tuple(
        FeatureSpec(
            name=name, kind=ColumnKind.NUMBER, nullable=True, minimum=mean - 3 * spread, maximum=mean + 3 * spread
        )
        for name, (mean, spread) in zip(FEATURES, _SPREAD, strict=True)
    )
    outputs = tuple(
        NumericOutput(source=name, fill=mean, shift=mean, scale=spread)
        for name, (mean, spread) in zip(FEATURES, _SPREAD, strict=True)
    )
    return Encoder(EncoderDocument(features=features, outputs=outputs))


def _rows() -> list[dict[str, JsonValue]]:
    """Twenty rows along a diagonal of the ranges, the last with a missing value."""
    rows: list[dict[str, JsonValue]] = []
    for step in range(20):
        position = (step - 9.5) / 4
        rows.append(
            {
                name: round(mean + spread * position * (-1) ** (index * step), 3)
                for index, (name, (mean, spread)) in enumerate(zip(FEATURES, _SPREAD, strict=True))
            }
        )
    rows[-1]["feature4"] = None
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the demo models.")
    parser.add_argument("out_dir", type=Path)
    write_demo_models(parser.parse_args().out_dir)


if __name__ == "__main__":
    main()
