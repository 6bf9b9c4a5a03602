"""What the settings of an evaluation need of a model."""

from collections.abc import Mapping

from simulacra.core.capabilities import (
    HasDiffusionBound,
    HasLikelihood,
    Samples,
    SamplesIteratively,
    Translates,
)
from simulacra.runs.applicable import Requirement

SETTING_NEEDS: Mapping[str, tuple[Requirement, ...]] = {
    "samples": (Samples,),
    "particles": (HasLikelihood,),
    "extractor": (Samples, Translates),
    "extractor_seed": (Samples, Translates),
    "cas": ("labels",),
    "sampler": (SamplesIteratively,),
    "steps": (SamplesIteratively,),
    "guidance_scale": (SamplesIteratively,),
    "precision": (SamplesIteratively,),
    "flow_images": (HasDiffusionBound,),
}
"""By the name of a setting: capabilities of which a model needs one, or a field of its condition."""

AMOUNTS = frozenset({"samples", "particles", "extractor", "extractor_seed", "seed"})
"""Settings that one script passes to the evaluation of different families; Python accepts them for every model."""
