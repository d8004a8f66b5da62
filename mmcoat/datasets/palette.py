"""Colours for classes that have none."""

import colorsys


def distinct_colours(count: int) -> list[list[int]]:
    """Return ``count`` RGB colours, none of them black; neighbours in the list differ clearly."""
    colours = []
    for index in range(count):
        hue, value = index * 0.618034 % 1.0, (0.75, 1.0)[index % 2]  # golden angle
        rgb = colorsys.hsv_to_rgb(hue, 0.8, value)
        colours.append([round(255 * part) for part in rgb])
    return colours
