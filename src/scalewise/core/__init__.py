"""Counting parameters and FLOPs, unit conversions, records, errors, optional packages.

Every other room stands on this one; it imports none of them.
"""
