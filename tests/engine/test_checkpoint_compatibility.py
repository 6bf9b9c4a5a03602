"""Differences between a checkpoint and a family are named: the group, the tensor, both shapes."""

import pytest
import torch
from tests.engine.toy_games import AlternatingGame

from simulacra.engine.checkpoint_compatibility import incompatibility

STATE = "critic/1.weight/exp_avg"


def groups():
    own = AlternatingGame().state_dict()
    weight = own["critic.1.weight"]
    return {
        "model": dict(own),
        "ema": dict(own),
        "optimizers": {STATE: torch.zeros_like(weight), "critic/1.weight/step": torch.tensor(3.0)},
    }


def found(tensors, wanted=("model", "ema", "optimizers")):
    return incompatibility(tensors, AlternatingGame(), wanted)


def test_what_belongs_to_a_family_fits():
    assert found(groups()) == ""


@pytest.mark.parametrize("group", ["model", "ema", "optimizers"])
def test_a_group_that_is_missing_is_named_only_where_it_is_wanted(group):
    tensors = groups()
    del tensors[group]
    assert found(tensors) == f"it has no group '{group}'"
    assert found(tensors, tuple(tensors)) == ""


@pytest.mark.parametrize("group", ["model", "ema"])
def test_tensors_that_lack_are_foreign_or_have_another_shape_are_named(group):
    lacking, foreign, other = groups(), groups(), groups()
    del lacking[group]["critic.1.weight"]
    foreign[group]["stranger"] = torch.zeros(1)
    other[group]["critic.1.weight"] = torch.zeros(8, 15)
    assert found(lacking) == f"its '{group}' lacks critic.1.weight"
    assert found(foreign) == f"its '{group}' has stranger, which is not in the model"
    assert found(other) == f"its '{group}' has critic.1.weight of shape [8, 15], and the model expects [8, 16]"


def test_the_state_of_an_optimizer_belongs_to_a_parameter_of_its_shape():
    foreign, other = groups(), groups()
    foreign["optimizers"]["other/1.weight/exp_avg"] = torch.zeros(8, 16)
    other["optimizers"][STATE] = torch.zeros(3)
    assert found(foreign) == "its 'optimizers' has other/1.weight/exp_avg, whose parameter is not in the model"
    assert found(other) == f"its 'optimizers' has {STATE} of shape [3], and the model expects [8, 16]"
