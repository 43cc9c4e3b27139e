"""Quotients that a runtime may compute by the reciprocal."""

import torch

from mmseg_deeplab_ext.layers.quotient import quotient


def test_it_is_the_division_of_float32_for_all_numbers_of_16_bits():
    random = torch.Generator().manual_seed(0)
    for top in (100, 2000, 65537):
        dividend, divisor = torch.randint(1, top, (2, 300_000), generator=random).float()
        assert torch.equal(quotient(dividend, divisor), dividend / divisor)


def test_a_wrong_last_bit_is_put_right():
    class Reciprocal(torch.Tensor):
        """Divides by a tensor as OpenVINO does."""

        def __truediv__(self, divisor):
            return (
                self * (1 / divisor) if isinstance(divisor, torch.Tensor) else self * (divisor**-1)
            )

    random = torch.Generator().manual_seed(0)
    dividend, divisor = torch.randint(1, 65537, (2, 300_000), generator=random).float()
    by_reciprocal = dividend.as_subclass(Reciprocal)
    assert not torch.equal(by_reciprocal / divisor, dividend / divisor)
    assert torch.equal(
        quotient(by_reciprocal, divisor).as_subclass(torch.Tensor), dividend / divisor
    )
