"""What do the samples of a batch tell, and how does that follow its decisions? Information, and its derivatives.

With F = dw/dtheta of a solution of the batch's equations, a reading y of the columns w has

    J = dy/dtheta = (dy/dw) F,    M = sum J' J / deviation^2

and a criterion phi(M) follows decisions q by adjoints: with P = dphi/dF and A' L = P, column by column of theta,

    dphi = (direct part) - sum_j L_j' d(A, B) F_j = (direct part) - sum_j F_j' (d2(L_j' g)/dw2) dw

so that the gradient is exact, at the price of one Hessian of the equations for each parameter, whatever the number of
decisions. Sources: Fedorov & Leonov, Optimal Design for Nonlinear Response Models (2014), chapter 2; Bauer, Bock,
Koerkel & Schloeder, J. Comput. Appl. Math. 120 (2000) 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from titer.estimation.designs.prospect import Course, Prospect
from titer.estimation.designs.sampler import Sampler

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Seen:
    """Readings of a group at times: elements, sampler of each phase with the samples in it, readings (n, names), their
    derivatives in theta (n, names, k), and variances."""

    group: int
    times: Array
    parts: tuple[tuple[Sampler, Array, Array, Array], ...]  # sampler, samples, elements, derivatives in the cells
    readings: Array
    slopes: Array
    variances: Array

    @property
    def each(self) -> Array:
        """The information of each sample, (n, k, k)."""
        return np.asarray(np.einsum("nmi,nmj,nm->nij", self.slopes, self.slopes, 1.0 / self.variances))

    @property
    def information(self) -> Array:
        return self.each.sum(axis=0)


def see(prospect: Prospect, course: Course, group: int, times: Array) -> Seen:
    """The readings of a group at times (n,)."""
    k, names = len(prospect.theta), prospect.groups[group].names
    values = prospect.cells(course.w)
    starts = np.concatenate([[0.0], np.cumsum(values[prospect.durations])])
    phase = np.clip(np.searchsorted(starts, times * (1.0 - 1e-12)) - 1, 0, len(prospect.durations) - 1)
    follow = course.follow[:, :k] * prospect.sizes[:, None] / prospect.sizes[prospect.theta]
    follow = np.concatenate([follow, np.zeros((len(prospect.assembled.nlp.data), k))])
    readings, slopes = np.zeros((len(times), len(names))), np.zeros((len(times), len(names), k))
    parts = []
    for i, sampler in enumerate(prospect.samplers[group]):
        here = np.flatnonzero(phase == i)
        if not len(here):
            continue
        elements = sampler.elements((times[here] - starts[i]) / (starts[i + 1] - starts[i]))
        readings[here], derivative = sampler.read(times[here], elements, values)
        slopes[here] = np.einsum("nmv,vnk->nmk", derivative, follow[sampler.index[:, elements]])
        parts.append((sampler, here, elements, derivative))
    absolute, relative = prospect.noise[group]
    variances = absolute**2 + (relative * readings) ** 2
    return Seen(group, times, tuple(parts), readings, slopes, np.maximum(variances, 1e-300))


def pull(prospect: Prospect, course: Course, seen: Sequence[Seen], weight: Array) -> tuple[Array, list[Array]]:
    """Derivatives of sum(weight * information) in the decisions, and in the times of each of `seen`.

    `weight` (k, k), symmetric.
    """
    n, k = len(course.w), len(prospect.theta)
    values = prospect.cells(course.w)
    follow = course.follow[:, :k] * prospect.sizes[:, None] / prospect.sizes[prospect.theta]
    follow = np.concatenate([follow, np.zeros((len(values) - n, k))])
    direct, adjoint = np.zeros(len(values)), np.zeros((len(values), k))
    by_time = []
    for one in seen:
        own = np.zeros(len(one.times))
        relative = prospect.noise[one.group][1]
        pulled = 2.0 * (one.slopes @ weight) / one.variances[:, :, None]
        squares = np.einsum("nmi,ij,nmj->nm", one.slopes, weight, one.slopes)
        weights = -squares / one.variances**2 * 2.0 * relative**2 * one.readings
        for sampler, here, elements, derivative in one.parts:
            index = sampler.index[:, elements]
            directions = np.einsum("vnk,nmk->nmv", follow[index], pulled[here])
            by_cell, own[here] = sampler.bend(one.times[here], elements, values, directions, weights[here])
            np.add.at(direct, index, by_cell.T)
            np.add.at(adjoint, index, np.einsum("nmv,nmk->vnk", derivative, pulled[here]))
        by_time.append(own)
    gradient = direct[:n] * prospect.sizes
    scaled = adjoint[:n] * prospect.sizes[:, None] / prospect.sizes[prospect.theta]
    equations = prospect.equations
    for j in range(k):
        multipliers = np.zeros(prospect.assembled.nlp.rows)
        if len(prospect.dependent):
            multipliers[equations] = course.factor.solve(scaled[prospect.dependent, j], "T")
        gradient -= prospect.bent(course, multipliers, course.follow[:, j])
    return course.follow[:, k:].T @ gradient / prospect.sizes[prospect.decided], by_time
