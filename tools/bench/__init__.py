"""Measurements of what Capstan costs: CPU time per request and token, memory per service. Never part of the tests.

The figure is CPU time of a process (user and system, from the operating system) over a window after a warm-up, since
that holds on a shared and noisy machine; rates and latencies do not and are printed only beside it.
"""
