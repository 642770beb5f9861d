"""Faults, the programs that suffer them, and the checkers of what must hold afterwards."""
