"""The shortest way to a prediction: a demo model that needs no key.

python examples/simple_predict.py [--serving-url http://127.0.0.1:8001]
"""

import argparse
import sys

from modelmill import Client, ModelmillError


def main() -> int:
    parser = argparse.ArgumentParser(description="Ask a public demo model")
    parser.add_argument("--serving-url", default="http://127.0.0.1:8001")
    options = parser.parse_args()
    row = {"feature1": 5.1, "feature2": 3.5, "feature3": 1.4, "feature4": 0.2}
    with Client(serving_url=options.serving_url) as mill:
        try:
            answer = mill.predictions.one("demo_model_1", row)
            block = mill.predictions.many("demo_model_2", [row, {**row, "feature1": 7.9}])
        except ModelmillError as error:
            print(f"no prediction: {error}", file=sys.stderr)
            return 1
    print(
        f"demo_model_1 says {answer.prediction!r}, confidence {answer.confidence_score:.3f}, {answer.processing_time:.2f} ms"
    )
    print(f"demo_model_2 says {block.predictions}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
