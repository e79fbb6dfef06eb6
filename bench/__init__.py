"""Measure the cost of the receive path and the accuracy of its figures: `python -m bench`.

Programs that are compared run alternately, round after round, against the same server and
with the same codes, so that a temporarily slow machine affects all of them.
"""
