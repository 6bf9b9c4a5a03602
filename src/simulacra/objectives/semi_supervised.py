"""The objective of semi-supervised latent-variable models (Kingma et al. 2014, M2), in nats per image."""

from torch import Tensor


def unlabelled_bound(log_q: Tensor, labelled: Tensor) -> Tensor:
    """Return U(x) [b] = sum_y q(y|x) L(x, y) - H(q(y|x)), an upper bound of -log p(x) (Kingma et al. 2014, eq. 7).

    log_q: log q(y|x) [b c]; labelled: L(x, y) [b c], an upper bound of -log p(x, y) for each label (eq. 6).
    """
    return (log_q.exp() * (labelled + log_q)).sum(1)
