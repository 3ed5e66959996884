"""The loss: what is not known counts nothing, and what is rare counts more."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from narratrace.model.errors import SettingsError
from narratrace.model.network import NetworkOutput
from narratrace.model.settings import check_settings
from narratrace.training.labelled import UNKNOWN_STANCE
from narratrace.training.losses import UNKNOWN_LABEL, JointLoss, label_targets
from narratrace.training.settings import LossSettings

TARGETS = np.array([[1, 0], [0, 0], [0, 0], [0, 1], [0, 0]], dtype=np.float32)


def settings(**changes: float) -> LossSettings:
    fields = {"stance": 1.0, "positive_weight_power": 0.0, "positive_weight_limit": 5.0}
    return LossSettings(**(fields | {"dropout": 0.0, "hidden_dropout": 0.0} | changes))  # type: ignore[arg-type]


def output(narratives: list[list[float]], stances: list[list[float]]) -> NetworkOutput:
    return NetworkOutput(torch.tensor(narratives, requires_grad=True), torch.tensor(stances, requires_grad=True))


def test_the_loss_is_the_cross_entropies_of_both() -> None:
    found = JointLoss(settings(stance=0.5), TARGETS)(
        output([[2.0, -1.0]], [[1.0, 0.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    )
    narratives = np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0))
    assert float(found.detach()) == pytest.approx(narratives + 0.5 * (np.log(np.e + 3) - 1), rel=1e-5)


@pytest.mark.parametrize(("weights", "alone"), [({"narratives": 0.0}, "stances"), ({"stance": 0.0}, "narratives")])
def test_with_a_weight_of_0_the_other_is_learnt_alone(weights: dict[str, float], alone: str) -> None:
    given = output([[0.3, -0.2], [0.1, 0.4]], [[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    JointLoss(settings(**weights), TARGETS)(
        given, torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 2])
    ).backward()
    for name in ("narratives", "stances"):
        moved = getattr(given, name).grad
        assert bool((moved != 0).any()) == (name == alone)


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(SettingsError, match="both 0"):
        check_settings(LossSettings, settings().model_dump() | {"narratives": 0, "stance": 0}, "test")


def test_the_default_weight_of_the_narratives_changes_no_bit() -> None:
    random = torch.Generator().manual_seed(5)
    logits, stances = torch.randn(50, 2, generator=random), torch.randn(50, 4, generator=random)
    targets, said = torch.randint(2, (50, 2), generator=random).float(), torch.randint(4, (50,), generator=random)
    given = output(logits.tolist(), stances.tolist())
    loss = JointLoss(settings(stance=0.7), TARGETS)
    found = loss(given, targets, said)
    found.backward()
    plain = output(logits.tolist(), stances.tolist())
    narratives = nn.functional.binary_cross_entropy_with_logits(
        plain.narratives, targets, pos_weight=loss.weights, reduction="sum"
    )
    stance = nn.functional.cross_entropy(plain.stances, said, reduction="sum")
    without = (narratives + 0.7 * stance) / 50
    without.backward()
    assert torch.equal(found, without)
    for name in ("narratives", "stances"):
        assert torch.equal(getattr(given, name).grad, getattr(plain, name).grad)


def test_what_is_not_known_moves_nothing() -> None:
    given = output([[0.3, -0.2], [0.1, 0.4]], [[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    targets = torch.tensor([[1.0, UNKNOWN_LABEL], [UNKNOWN_LABEL, UNKNOWN_LABEL]])
    JointLoss(settings(), TARGETS)(given, targets, torch.tensor([UNKNOWN_STANCE, 2])).backward()
    assert given.narratives.grad is not None
    assert given.stances.grad is not None
    assert (given.narratives.grad != 0).tolist() == [[True, False], [False, False]]
    assert (given.stances.grad != 0).any(dim=1).tolist() == [False, True]


def test_a_batch_of_unknown_stances_has_a_loss() -> None:
    found = JointLoss(settings(), TARGETS)(
        output([[0.0, 0.0]], [[0.0] * 4]), torch.tensor([[UNKNOWN_LABEL] * 2]), torch.tensor([UNKNOWN_STANCE])
    )
    assert float(found.detach()) == 0.0


def test_positives_of_a_rare_narrative_weigh_more_and_unknown_posts_are_no_negatives() -> None:
    weights = JointLoss(settings(positive_weight_power=1.0), TARGETS).weights
    assert isinstance(weights, torch.Tensor)
    assert weights.tolist() == [4.0, 4.0]
    unsure = TARGETS.copy()
    unsure[1:3, 0] = UNKNOWN_LABEL
    weights = JointLoss(settings(positive_weight_power=1.0, positive_weight_limit=3.0), unsure).weights
    assert isinstance(weights, torch.Tensor)
    assert weights.tolist() == [2.0, 3.0]


def test_targets_tell_no_from_unknown() -> None:
    labels, known = np.array([[True, False, False]]), np.array([[True, True, False]])
    assert label_targets(labels, known).tolist() == [[1.0, 0.0, UNKNOWN_LABEL]]
