"""Hold-outs and scorers: recommenders in scikit-learn's model selection."""

from sksparse_rec.model_selection._score_ranking import score_ranking
from sksparse_rec.model_selection._scorer import RankingScorer, make_ranking_scorer
from sksparse_rec.model_selection._split import holdout_split

__all__ = ["RankingScorer", "holdout_split", "make_ranking_scorer", "score_ranking"]
