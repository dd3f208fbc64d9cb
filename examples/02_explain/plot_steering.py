"""
Can words steer a collaborative filter?
=======================================

A recommender that learned from interactions alone has never heard of astronomy. This
example finds the latents that stand for such words, and turns them: what a list
becomes, where the sliders of a user stand, and what steering costs.
"""

# %%
# Packages and what they are about
# --------------------------------
# The rows are source packages of Debian and the columns the packages that they depend
# on. Some columns carry tags that people gave them: 425 concepts, on a part of the
# packages. A compressed ELSA learns from the dependencies and sees no tag.

import numpy as np
from matplotlib import pyplot as plt

from sksparse_rec import CompressedELSA, SteerableRecommender, top_items
from sksparse_rec.datasets import load_debian
from sksparse_rec.plotting import SteeringTradeoffDisplay

debian = load_debian()
order = np.random.default_rng(0).permutation(debian.data.shape[0])
train, held_out = debian.data[order[400:]], debian.data[order[:400]]

elsa = CompressedELSA(512, n_nonzero=16, max_iter=5, random_state=0)
model = SteerableRecommender(elsa).fit(
    train, item_concepts=debian.item_tags, concept_names=debian.tag_names
)

# %%
# Its latents are steered as they are. For some concepts, the latent that stands for it
# most clearly, and the packages in which that latent is strongest:

for concept in ("field::astronomy", "web::server", "works-with::text"):
    (neuron,), _ = model.concept_map_.neurons_of(concept, k=1)
    activations = model.item_activations_[:, [neuron]].toarray().ravel()
    strongest = debian.item_ids[np.argsort(-activations)[:4]]
    print(f"{concept}, latent {neuron}: {', '.join(strongest)}")

# %%
# Turning a knob
# --------------
# What would scikit-learn depend on, if it were a little more about playing sound?
# Tagged packages have a star.

history = debian.data[debian.user_ids == "scikit-learn"]
concept = "sound::player"
is_tagged = debian.item_tags[:, debian.tag_names == concept].toarray().ravel() > 0

for strength in (0, 0.4, 0.45, 0.6):
    ids, _ = top_items(model.recommend(history, k=6, steer={concept: strength}))
    names = (f"{debian.item_ids[i]}{'*' if is_tagged[i] else ''}" for i in ids[0])
    print(f"{strength:4}: {', '.join(names)}")

# %%
# Strength 0 is the list of the recommender itself, to the last bit. With more of it
# the list is of both, packages of the history and of the concept, until there is
# nothing but the concept.

# %%
# Where the sliders stand
# -----------------------
# The level of a concept is the cosine between the profile and the concept's latents.
# That is what a page would show before anybody moves a slider, here for two packages.

pair = ["scikit-learn", "gimp"]
users = np.concatenate([np.flatnonzero(debian.user_ids == name) for name in pair])
levels = model.concept_levels(debian.data[users])
shown = np.unique(np.argsort(-levels, axis=1)[:, :5])
shown = shown[np.argsort(levels[0, shown] - levels[1, shown])]

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
places = np.arange(len(shown))
for offset, name, level, color, marker in zip(
    (-0.15, 0.15), pair, levels, ("#0072B2", "#D55E00"), "os", strict=True
):
    ax.plot(level[shown], places + offset, marker, color=color, label=name)
    ax.hlines(places + offset, 0, level[shown], color=color, linewidth=1)
ax.set_yticks(places, debian.tag_names[shown])
ax.set_xlabel("level of the concept")
ax.set_xlim(left=min(0, levels[:, shown].min()))
ax.spines[["top", "right"]].set_visible(False)
_ = ax.legend(loc="lower right", frameon=False)

# %%
# What it costs
# -------------
# A fifth of the dependencies of 400 packages that the model has not seen is hidden, and
# everybody gets the same push, whether it suits them or not. To the right lists fill
# with the concept, and downwards the hidden packages are found less often.

concepts = ["works-with::text", "implemented-in::c++", "works-with::archive"]
report = model.steering_report(held_out, concepts, strengths=np.linspace(0, 1, 11))
display = SteeringTradeoffDisplay.from_report(report)
_ = display.plot()

# %%
# A fifth of the list costs little; half of it is a matter of taste. Users who ask for a
# concept lose less than these, who did not. The strengths that fill half of a list:

for name, strength in zip(concepts, report.strength_for(0.5), strict=True):
    print(f"{name}: {strength:.2f}")

# %%
# So words do steer it, without training anything again: a concept is a direction of few
# latents, a knob turns profiles towards it, and the rest of a profile stays as it was.
