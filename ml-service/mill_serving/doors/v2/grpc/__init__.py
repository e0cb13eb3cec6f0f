"""The gRPC face of the Open Inference Protocol; `inference_pb2` is generated from `inference.proto`. Loaded when its port is set."""
