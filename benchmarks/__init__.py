"""Measurements: agreement with the published results, cost, time, memory, quality."""
