"""Cartoon faces as arithmetic on whole batches: parameters in, 48x48 grey pixels out.

Each part of a face is a soft-edged shape, given by its approximate signed distance (negative inside) and painted over what lies
below it, from the background to the glasses. The pixels are computed with additions, multiplications, divisions and square roots
only, which IEEE 754 rounds the same everywhere, so that the same parameters give the same bytes on every machine.

Lengths are in half images: x and y run from -1 to 1, right and down. Grey values are in 0..1.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 48
BATCH = 16  # images drawn at once, so that a few such arrays fit in a processor's cache

Floats = NDArray[np.floating[Any]]

ACROSS = (np.arange(SIZE, dtype=np.float32) + 0.5) * (2 / SIZE) - 1
"""Where the middles of the pixels lie, from left to right and from top to bottom."""


@dataclass(frozen=True, eq=False)
class Faces:
    """What n faces look like; every field is float32 [n].

    The expression is measured from a neutral face at 0, about 1 being a clear expression. ``mirror`` is -1 for faces whose whole
    picture is mirrored, else 1; light falls from the left before that.
    """

    # Expression.
    brow_height: Floats  # raised above 0
    brow_slope: Floats  # above 0 the inner ends are lowered, as in anger; below 0 raised, as in sadness
    eye_opening: Floats  # wide above 0, narrowed below
    mouth_curve: Floats  # corners up above 0
    mouth_opening: Floats  # closed at or below 0
    mouth_width: Floats
    nose_wrinkle: Floats  # wrinkles on the bridge and a raised upper lip
    teeth: Floats  # how much of an open mouth they fill, from above
    # Person.
    skin: Floats
    hair: Floats
    head_width: Floats
    jaw: Floats  # how much narrower the head is at the chin
    eye_distance: Floats
    eye_size: Floats
    iris: Floats
    brow_weight: Floats
    nose_length: Floats
    nose_width: Floats
    lips: Floats  # darkness
    hairline: Floats
    parting: Floats  # where the hair parts, left of the middle below 0
    hair_length: Floats  # how far down it hangs at the sides
    beard: Floats  # 0..1
    glasses: Floats  # 0 or 1
    half_smile: Floats  # how much higher the left corner of the mouth is
    # Picture.
    background: Floats
    clothes: Floats
    angle: Floats  # degrees, in the plane of the image
    shift_x: Floats
    shift_y: Floats
    scale: Floats
    mirror: Floats
    side_light: Floats  # relative difference of brightness from the middle to an edge
    gain: Floats
    offset: Floats
    noise: Floats  # standard deviation

    def __len__(self) -> int:
        return len(self.angle)


def draw(faces: Faces, generator: np.random.Generator) -> NDArray[np.uint8]:
    """The pictures, uint8 [n, 1, 48, 48]; the generator gives the noise of the pixels."""
    pixels = np.empty((len(faces), 1, SIZE, SIZE), np.uint8)
    by_angle = np.argsort(faces.angle, kind="stable")  # so that the parts of a batch's faces lie in much the same places
    for start in range(0, len(faces), BATCH):
        some = by_angle[start : start + BATCH]
        face = Faces(**{field.name: getattr(faces, field.name)[some].reshape(-1, 1, 1) for field in fields(faces)})
        grey = _picture(face)
        grey += face.noise * generator.standard_normal(grey.shape, np.float32)
        grey *= (1 - face.side_light * ACROSS) * face.gain
        grey += face.offset
        grey *= 255
        grey += 0.5
        drawn = np.clip(grey, 0, 255, out=grey).astype(np.uint8)
        pixels[some, 0] = np.where(face.mirror < 0, drawn[:, :, ::-1], drawn)
    return pixels


class _Canvas:
    """The grey values of a few pictures, or of one part of each, and where each pixel lies as seen from the middle of the face."""

    def __init__(self, face: Faces) -> None:
        radians = np.deg2rad(face.angle.astype(np.float64))
        self.face = face
        self.cosine, self.sine = np.cos(radians).astype(np.float32), np.sin(radians).astype(np.float32)
        right, down = ACROSS[None, None, :] - face.shift_x, ACROSS[None, :, None] - face.shift_y
        self.x: Floats = (right * self.cosine + down * self.sine) / face.scale
        self.y: Floats = (down * self.cosine - right * self.sine) / face.scale
        self.sharpness = face.scale * (SIZE / 2)  # pixels per unit of length
        self.grey: Floats = face.background * (1 - 0.15 * self.y)

    def window(self, x: Floats | float, y: Floats | float, half_width: float, half_height: float) -> _Canvas:
        """The same canvas cut to the rows and columns in which a box about (x, y) lies in any of the pictures, to save time.

        The box must hold all that is then painted, soft edges too, or a face would depend on what is drawn beside it.
        """
        face, cosine, sine = self.face, self.cosine, self.sine
        column = (x * cosine - y * sine) * face.scale + face.shift_x
        row = (x * sine + y * cosine) * face.scale + face.shift_y
        across = (half_width * cosine + half_height * np.abs(sine)) * face.scale
        down = (half_height * cosine + half_width * np.abs(sine)) * face.scale
        part = (slice(None), _pixels(row, down), _pixels(column, across))
        cut = copy.copy(self)
        cut.x, cut.y, cut.grey = self.x[part], self.y[part], self.grey[part]
        return cut

    def cover(self, distance: Floats, softness: float = 1.0) -> Floats:
        """How much of each pixel a shape covers; ``softness`` is the width of its edge in pixels."""
        covered = distance * (self.sharpness * (-1 / softness))
        covered += 0.5
        return np.clip(covered, 0, 1, out=covered)

    def paint(self, covered: Floats, colour: Floats | float) -> None:
        """Lays a colour over the picture as far as the shape covers it."""
        self.grey += covered * (colour - self.grey)

    def shade(self, covered: Floats, amount: Floats | float) -> None:
        """Darkens what lies below; a negative amount lightens it."""
        self.grey *= 1 - covered * amount

    def ellipse(self, x: Floats | float, y: Floats | float, half_width: Floats | float, half_height: Floats | float) -> Floats:
        """Distance from an ellipse's edge, right at the edge and scaled by the smaller half-axis elsewhere."""
        squares = ((self.x - x) / half_width) ** 2
        squares += ((self.y - y) / half_height) ** 2
        distance: Floats = (np.sqrt(squares, out=squares) - 1) * np.minimum(half_width, half_height)
        return distance

    def stroke(
        self,
        x: Floats | float,
        y: Floats | float,
        half_length: Floats | float,
        thickness: Floats | float,
        *,
        rise: Floats | float = 0.0,
        bend: Floats | float = 0.0,
    ) -> Floats:
        """Distance from a line about (x, y) that tapers: its right end lies higher by ``rise``, both ends lower by ``bend``."""
        along = (self.x - x) / half_length
        square = along * along
        away = np.abs(self.y - (y - rise * along + bend * square)) - thickness * (1 - 0.5 * square)
        distance: Floats = np.maximum(away, (np.abs(along) - 1) * half_length)
        return distance


def _pixels(centre: Floats, half: Floats) -> slice:
    """The pixels that an extent covers in any picture, with two to spare for soft edges."""
    first = int((float((centre - half).min()) + 1) * SIZE / 2) - 2
    last = int((float((centre + half).max()) + 1) * SIZE / 2) + 3
    return slice(max(first, 0), max(last, 0))


def _picture(face: Faces) -> Floats:
    """The grey values of a few faces, before noise and light."""
    canvas = _Canvas(face)
    _shoulders(canvas, face)
    _head(canvas, face)
    for side in (-1, 1):
        _cheek(canvas.window(side * 0.36, 0.26, 0.38, 0.36), face, side)
        _eye(canvas.window(side * face.eye_distance, -0.14, 0.43, 0.36), face, side)
        _brow(canvas.window(side * face.eye_distance, -0.34, 0.28, 0.45), face, side)
    _nose(canvas.window(0.0, 0.03, 0.3, 0.58), face)
    _mouth(canvas.window(0.0, 0.56, 0.48, 0.52), face)
    _hair(canvas.window(0.0, -0.5, 0.95, 0.85), face)
    return canvas.grey


def _shoulders(canvas: _Canvas, face: Faces) -> None:
    """The hair behind the head, the neck and the clothes."""
    behind = canvas.ellipse(0.0, -0.15, face.head_width + 0.15, 0.92)
    canvas.paint(canvas.cover(np.maximum(behind, canvas.y - face.hair_length), 1.5), face.hair * 0.8)
    lower = canvas.window(0.0, 1.1, 1.3, 0.75)
    lower.paint(lower.cover(np.maximum(np.abs(lower.x) - 0.33, 0.4 - lower.y)), face.skin * 0.72)
    lower.paint(lower.cover(lower.ellipse(0.0, 1.5, 1.05, 0.52)), face.clothes)


def _head(canvas: _Canvas, face: Faces) -> None:
    """Ears, and a head that is darker towards its edge; the beard lies over its lower part."""
    for side in (-1, 1):
        ear = canvas.window(side * (face.head_width + 0.02), 0.02, 0.12, 0.22)
        ear.paint(ear.cover(ear.ellipse(side * (face.head_width + 0.02), 0.02, 0.1, 0.2)), face.skin * 0.85)
    chin = np.clip(canvas.y, 0, 1)
    half_width = face.head_width * (1 - face.jaw * chin * chin)
    radius = (canvas.x / half_width) ** 2 + ((canvas.y - 0.05) / 0.88) ** 2
    covered = canvas.cover((np.sqrt(radius) - 1) * half_width)
    rounded = np.clip(radius, 0, 1)
    canvas.paint(covered, face.skin * (1.06 - 0.3 * rounded * rounded))
    canvas.shade(np.clip((canvas.y - 0.3) * 4, 0, 1) * covered, 0.55 * face.beard)


def _cheek(canvas: _Canvas, face: Faces, side: int) -> None:
    """A cheekbone that catches light, and the fold that runs from the nose past the mouth when the face is drawn."""
    canvas.shade(canvas.cover(canvas.ellipse(side * 0.36, 0.2, 0.2, 0.14), 5), -0.1)
    fold = canvas.stroke(side * 0.29, 0.33, 0.1, 0.03, rise=-side * 0.13, bend=-0.02)
    canvas.shade(canvas.cover(fold, 3), np.clip(0.25 * face.mouth_curve + 0.3 * face.nose_wrinkle, 0, 0.4))


def _eye(canvas: _Canvas, face: Faces, side: int) -> None:
    """One eye in its socket, and its glass; side is -1 for the left of the picture."""
    x, y = side * face.eye_distance, -0.12
    canvas.shade(canvas.cover(canvas.ellipse(x, y - 0.02, 0.25, 0.2), 6), 0.22)
    half_width = 0.155 * face.eye_size
    half_height = face.eye_size * np.clip(0.095 * (1 + 0.6 * face.eye_opening), 0.025, 0.2)
    droop = -side * 0.03 * np.clip(-face.brow_slope, 0, 1)  # outer corners sink where the inner ends of the brows rise
    almond = np.maximum(
        canvas.stroke(x, y, half_width, half_height, rise=droop), canvas.ellipse(x, y, half_width * 1.05, half_height * 1.15)
    )
    inside = canvas.cover(almond)
    canvas.paint(inside, 0.35 + 0.55 * face.skin)
    canvas.paint(inside * canvas.cover(canvas.ellipse(x, y, 0.08, 0.085)), face.iris)
    canvas.paint(inside * canvas.cover(canvas.ellipse(x - 0.03, y - 0.03, 0.022, 0.022)), 0.95)
    canvas.shade(canvas.cover(canvas.stroke(x, y - half_height, half_width * 1.1, 0.028, rise=droop, bend=half_height * 0.9)), 0.75)
    canvas.shade(canvas.cover(canvas.stroke(x, y + half_height + 0.05, half_width, 0.02, bend=-0.03), 2), 0.22)
    if face.glasses.any():
        rim = np.abs(canvas.ellipse(x, y + 0.03, 0.25, 0.21)) - 0.02
        bridge = np.maximum(np.abs(canvas.y - y) - 0.02, np.abs(canvas.x) - (face.eye_distance - 0.25))
        canvas.paint(canvas.cover(np.minimum(rim, bridge)) * face.glasses, 0.12)


def _brow(canvas: _Canvas, face: Faces, side: int) -> None:
    x = side * (face.eye_distance - 0.03 * np.clip(face.brow_slope, 0, 1))
    arch = 0.04 + 0.04 * np.clip(face.brow_height, 0, 1.5)
    brow = canvas.stroke(x, -0.34 - 0.09 * face.brow_height, 0.21, 0.045 * face.brow_weight, rise=side * 0.085 * face.brow_slope, bend=arch)
    canvas.paint(canvas.cover(brow, 1.3) * 0.9, np.minimum(face.hair, face.skin * 0.55))


def _nose(canvas: _Canvas, face: Faces) -> None:
    """The nose, lit from the left, and the wrinkles on it and between the brows."""
    tip = 0.02 + face.nose_length - 0.03 * face.nose_wrinkle
    ridge = np.maximum(np.abs(canvas.x) - 0.05, np.maximum(-0.15 - canvas.y, canvas.y - tip))
    canvas.shade(canvas.cover(ridge, 3), -0.1)
    canvas.shade(canvas.cover(canvas.ellipse(0.11, tip - 0.16, 0.05, 0.2), 3), 0.25)  # the side away from the light
    canvas.shade(canvas.cover(canvas.stroke(0.0, tip + 0.03, face.nose_width, 0.035, bend=-0.05), 1.5), 0.38)
    for side in (-1, 1):
        canvas.shade(canvas.cover(canvas.ellipse(side * face.nose_width * 0.5, tip + 0.02, 0.04, 0.028)), 0.55)
        furrow = np.maximum(np.abs(canvas.x - side * (0.07 + 0.1 * (canvas.y + 0.33))) - 0.012, np.abs(canvas.y + 0.33) - 0.07)
        canvas.shade(canvas.cover(furrow, 2), 0.5 * np.clip(face.brow_slope, 0, 1))
    for y in (-0.2, -0.1):
        canvas.shade(canvas.cover(canvas.stroke(0.0, y, 0.1, 0.022, bend=0.03), 1.5), 0.5 * np.clip(face.nose_wrinkle, 0, 1.2))


def _mouth(canvas: _Canvas, face: Faces) -> None:
    """Lips about an opening that holds darkness and teeth; the left corner is the higher one by the half smile."""
    half_width = np.clip(0.25 + 0.075 * face.mouth_width, 0.12, 0.4)
    opening = np.clip(0.16 * face.mouth_opening, 0, 0.22)
    along = canvas.x / half_width
    square = along * along
    middle = 0.5 - 0.03 * face.nose_wrinkle + 0.1 * face.mouth_curve * (0.4 - square) + face.half_smile * along
    rounded = np.sqrt(np.clip(1 - square, 0, 1))
    ends = (np.abs(along) - 1) * half_width * 0.8
    upper = middle - opening * rounded * (0.45 + 0.2 * face.nose_wrinkle)
    lower = middle + opening * rounded * 0.75
    lip = 0.03 + 0.035 * rounded
    lips = np.maximum(np.maximum(upper - lip - canvas.y, canvas.y - lower - 1.1 * lip), ends)
    canvas.paint(canvas.cover(lips, 1.4), face.skin * (1 - face.lips))
    inside = canvas.cover(np.maximum(np.maximum(upper - canvas.y, canvas.y - lower) - 0.018, ends))
    canvas.paint(inside * 0.9, face.skin * 0.18)
    teeth = canvas.cover(canvas.y - (upper + (lower - upper) * 0.55), 1.2)
    canvas.paint(inside * teeth * (np.clip(face.teeth, 0, 1) * np.clip(opening * 25, 0, 1)), 0.92)
    canvas.shade(canvas.cover(canvas.ellipse(0.0, lower + 0.13, 0.16, 0.035), 3), 0.18)


def _hair(canvas: _Canvas, face: Faces) -> None:
    """Hair on the head: above the hairline, which is highest at the parting, and down the temples."""
    cap = canvas.ellipse(0.0, -0.02, face.head_width + 0.05, 0.98)
    away = canvas.x - face.parting
    below_line = canvas.y - (face.hairline + 0.42 * away * away)
    temples = face.head_width * 0.93 - np.abs(canvas.x) + np.clip(canvas.y - 0.05, 0, 1)
    covered = canvas.cover(np.maximum(cap, np.minimum(below_line, temples)), 1.4)
    canvas.paint(covered, face.hair * (1.15 - 0.35 * np.abs(away)))
    line = np.maximum(np.abs(away + 0.1 * (canvas.y + 1)) - 0.02, below_line)
    canvas.shade(covered * canvas.cover(line, 1.5), -0.45)
