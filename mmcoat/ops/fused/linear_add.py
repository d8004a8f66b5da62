"""A matrix product with a sum behind it: nothing to gain without a product of our own."""

from .. import reference

linear_add = reference.linear_add
