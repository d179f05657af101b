"""Where boxes are expected to be: a Kalman filter with constant velocity for each of many boxes.

ByteTrack's filter has a diagonal noise, so its 8 x 8 covariance consists of four independent 2 x 2 ones, which are
computed here as arrays, for all boxes at once. Three things differ. The unit of time is a second instead of a frame,
because cameras do not send frames at equal intervals. The size has no velocity: over a gap of seconds it would shrink
to nothing. And it is width and height instead of aspect ratio and height, so that both have the same unit.
"""

import numpy as np

from ninjacam.tracking.geometry import Array

MEASURED_ERROR = 0.05
"""Standard deviation of a detector's position and size, in units of the size of the box (here: the mean of its width
and height). ByteTrack: 1/20 of the height.
"""
FIRST_SPEED = 2.0
"""Standard deviation of the speed of a new object, in sizes per second. ByteTrack: 1.9 heights at 30 fps."""
SPEED_CHANGE = 1.0
"""Standard deviation of the change of speed within a second, in sizes per second. ByteTrack: 1.0 heights at 30 fps."""
SIZE_CHANGE = 0.3
"""Standard deviation of the change of width and height within a second, in sizes."""


class BoxMotion:
    """The filters of n boxes, one a row. Positions are center x, center y, width, height in pixels.

    Lengths are small: at most the tracker's maximum number of tracks.
    """

    __slots__ = ("position", "position_variance", "shared_variance", "velocity", "velocity_variance")

    def __init__(self) -> None:
        self.position = np.empty((0, 4))
        self.velocity = np.empty((0, 4))
        self.position_variance = np.empty((0, 4))
        self.shared_variance = np.empty((0, 4))
        self.velocity_variance = np.empty((0, 4))

    def predict(self, step_s: float) -> None:
        """Move all boxes ahead in time."""
        if step_s <= 0 or not len(self.position):
            return
        size = _sizes(self.position)
        speed_noise = size * [SPEED_CHANGE, SPEED_CHANGE, 0, 0]
        size_noise = size * [0, 0, SIZE_CHANGE, SIZE_CHANGE]
        speed_noise *= speed_noise
        self.position += self.velocity * step_s
        self.position_variance += (
            2 * step_s * self.shared_variance
            + step_s**2 * self.velocity_variance
            + step_s**3 / 3 * speed_noise
            + step_s * size_noise**2
        )
        self.shared_variance += step_s * self.velocity_variance + step_s**2 / 2 * speed_noise
        self.velocity_variance += step_s * speed_noise

    def correct(self, rows: list[int], corners: Array) -> None:
        """Use the measured boxes of some rows. `corners`: shape (len(rows), 4), left, top, right, bottom."""
        error = (_sizes(self.position[rows]) * MEASURED_ERROR) ** 2
        total = self.position_variance[rows] + error
        shared = self.shared_variance[rows]
        position_gain, velocity_gain = self.position_variance[rows] / total, shared / total
        surprise = to_centers(corners) - self.position[rows]
        self.position[rows] += position_gain * surprise
        self.velocity[rows] += velocity_gain * surprise
        self.velocity_variance[rows] -= velocity_gain * shared
        self.shared_variance[rows] -= position_gain * shared
        self.position_variance[rows] *= 1 - position_gain

    def add(self, corners: Array) -> None:
        """Append boxes that were seen for the first time. Shape (k, 4)."""
        added = to_centers(corners)
        size = _sizes(added)
        zeros = np.zeros_like(added)
        self.position = np.vstack([self.position, added])
        self.velocity = np.vstack([self.velocity, zeros])
        self.position_variance = np.vstack([self.position_variance, (size * ([2 * MEASURED_ERROR] * 4)) ** 2])
        self.shared_variance = np.vstack([self.shared_variance, zeros])
        first_speed = size * [FIRST_SPEED, FIRST_SPEED, 0, 0]
        self.velocity_variance = np.vstack([self.velocity_variance, first_speed**2])

    def keep(self, rows: list[int]) -> None:
        """Forget all boxes but these."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name)[rows])

    def corners(self) -> Array:
        """Return the expected boxes, shape (n, 4): left, top, right, bottom."""
        half = self.position[:, 2:] / 2
        return np.hstack([self.position[:, :2] - half, self.position[:, :2] + half])


def to_centers(corners: Array) -> Array:
    """Convert left, top, right, bottom to center x, center y, width, height. Shapes (n, 4)."""
    return np.hstack([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]])


def _sizes(position: Array) -> Array:
    """Return the mean of width and height, shape (n, 1)."""
    return (position[:, 2:3] + position[:, 3:4]) / 2
