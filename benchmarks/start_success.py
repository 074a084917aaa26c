"""How often does the flagship start by itself? Run by `python -m benchmarks.start_success`.

100 batch reactors A -> B -> C with random kinetics: each k0 within a factor of 3 (evenly by logarithm) and each E
within 20 %, so that rate constants span ten orders of magnitude and more: some are dead, some over before the jacket can act.
The batch of highest margin is sought for each, without a guess: jacket temperatures and stop time, limits of the
reactor temperature and of the impurity. The stop time is free between one second and a year, the impurity limit is
left out where even ... A failure is printed with its message, and tried again in ways that tell what failed.
`--quick` takes the first 10 and writes no file.
"""
