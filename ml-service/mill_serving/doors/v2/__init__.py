"""The Open Inference Protocol, version 2: REST with its binary tensor extension, and gRPC, over one reading of tensors."""
