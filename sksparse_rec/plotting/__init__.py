"""Pictures of models, as scikit-learn's displays; they need the extra ``plot``."""

from sksparse_rec.plotting._compression import CompressionTradeoffDisplay
from sksparse_rec.plotting._tradeoff import SparsityPathDisplay

__all__ = ["CompressionTradeoffDisplay", "SparsityPathDisplay"]
