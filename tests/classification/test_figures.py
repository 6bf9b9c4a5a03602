"""Confusion matrices and charts of accuracies."""

import numpy as np
import torch

from simulacra.classification.chart import Bar, accuracy_chart
from simulacra.classification.confusion import confusion_image, confusion_matrix


def test_rows_of_a_confusion_matrix_are_true_classes():
    truth, predicted = torch.tensor([0, 0, 0, 1, 2]), torch.tensor([0, 0, 1, 1, 0])
    assert confusion_matrix(truth, predicted, 3).tolist() == [[2, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_cells_are_blue_on_the_diagonal_and_red_elsewhere():
    pixels = np.asarray(confusion_image(torch.tensor([[3, 0], [2, 0]]), ("cat", "a dog with a long name"))).astype(int)
    right, empty, wrong = pixels[66, 66], pixels[66, 106], pixels[106, 66]
    assert right[2] > right[0] + 50
    assert empty.tolist() == [255, 255, 255]
    assert wrong[0] > wrong[2] + 50


def test_matrices_of_many_classes_have_small_cells_without_text():
    image = confusion_image(torch.eye(200, dtype=torch.int64), tuple(map(str, range(200))))
    assert image.size == (64 + 200 * 8, 64 + 200 * 8)


def test_the_dot_of_an_accuracy_is_at_its_place_on_the_axis():
    pixels = np.asarray(accuracy_chart([Bar("a", 0.9, 0.85, 0.95, False), Bar("b", 0.85, 0.81, 0.9, True)])).astype(int)
    blue = np.flatnonzero((pixels[28, :, 2] - pixels[28, :, 0]) > 100)
    # the axis runs from 80 % at pixel 330 to 100 % at pixel 868
    assert abs(blue.min() - (330 + 0.25 * 538)) <= 2
    assert abs(blue.max() - (330 + 0.75 * 538)) <= 2
    thick = np.flatnonzero((pixels[24, :, 2] - pixels[24, :, 0]) > 100)
    assert abs(thick.mean() - (330 + 0.5 * 538)) <= 1
