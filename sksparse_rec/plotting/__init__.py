"""Pictures of models, as scikit-learn's displays; they need the extra ``plot``."""

from sksparse_rec.plotting._activation import LatentActivationDisplay
from sksparse_rec.plotting._cards import SegmentLayoutDisplay
from sksparse_rec.plotting._compression import CompressionTradeoffDisplay
from sksparse_rec.plotting._map import SegmentMapDisplay
from sksparse_rec.plotting._steering import SteeringTradeoffDisplay
from sksparse_rec.plotting._tradeoff import SparsityPathDisplay

__all__ = [
    "CompressionTradeoffDisplay",
    "LatentActivationDisplay",
    "SegmentLayoutDisplay",
    "SegmentMapDisplay",
    "SparsityPathDisplay",
    "SteeringTradeoffDisplay",
]
