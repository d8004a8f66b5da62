"""The demos: draw a data set, train on it, show what was learnt. Only tools import this room."""
