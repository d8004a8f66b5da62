"""The demos: draw a data set, train on it, show the results. Only tools import this package."""
