"""The gRPC face of the Open Inference Protocol, loaded when its port is set.

`inference_pb2` is generated from `inference.proto` but for one word: its descriptor pool is its own, for in the default one clients'
libraries register the same names.
"""
