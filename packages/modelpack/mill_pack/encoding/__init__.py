"""The one encoder: training, real-time and batch prediction turn their inputs into the model's matrix here, alike."""

from mill_pack.encoding.document import EncoderDocument, EncodingStyle
from mill_pack.encoding.encoder import Encoded, Encoder
from mill_pack.encoding.fit import fit_encoder

__all__ = ["Encoded", "Encoder", "EncoderDocument", "EncodingStyle", "fit_encoder"]
