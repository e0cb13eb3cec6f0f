"""HTTP in, JSON out. The doors are thin: reading, rendering and counting; what is predicted is the engine's business."""
