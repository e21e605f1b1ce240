"""Outlines and figures that scenes are made of; every coordinate is a share of the side, y downwards."""

import math

from PIL import ImageDraw

from unclip_pipeline.world.scenes import Scene

Colour = tuple[int, int, int]
Point = tuple[float, float]

INK: Colour = (22, 22, 26)
SKIN: dict[str, Colour] = {"amber": (244, 176, 66), "teal": (52, 176, 164), "violet": (164, 122, 226)}
HAIR_COLOUR: Colour = (84, 48, 26)


def _star() -> list[Point]:
    return [
        (radius * math.sin(k * math.pi / 5), 0.03 - radius * math.cos(k * math.pi / 5))
        for k, radius in enumerate([0.50, 0.21] * 5)
    ]


def _heart() -> list[Point]:
    turns = [2 * math.pi * k / 40 for k in range(40)]
    return [
        (
            0.5 * math.sin(t) ** 3,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 31 - 0.04,
        )
        for t in turns
    ]


OUTLINES: dict[str, list[Point]] = {  # in an extent of 1 around the origin
    "square": [(-0.43, -0.43), (0.43, -0.43), (0.43, 0.43), (-0.43, 0.43)],
    "triangle": [(0.0, -0.46), (0.46, 0.38), (-0.46, 0.38)],
    "star": _star(),
    "heart": _heart(),
    "diamond": [(0.0, -0.52), (0.52, 0.0), (0.0, 0.52), (-0.52, 0.0)],
}


def turned(outline: str, centre: Point, extent: int | float, angle_deg: int | float) -> list[Point]:
    """Place an outline: turn, scale, move."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    x, y = centre
    return [(x + extent * (c * u - s * v), y + extent * (s * u + c * v)) for u, v in OUTLINES[outline]]


def box(centre: Point, radius: float) -> tuple[float, float, float, float]:
    """Give the box that Pillow wants around a circle."""
    x, y = centre
    return x - radius, y - radius, x + radius, y + radius


def draw_outline(
    draw: ImageDraw.ImageDraw, points: list[Point], fill: Colour, rim: Colour | None, rim_width: int | float
) -> None:
    """Fill a polygon, with a rim along its edge if a rim colour is given."""
    draw.polygon(points, fill=fill)
    if rim is not None:
        draw.line([*points, points[0], points[1]], fill=rim, width=round(rim_width), joint="curve")


def draw_disc(
    draw: ImageDraw.ImageDraw,
    centre: Point,
    radius: float,
    fill: Colour,
    rim: Colour | None,
    rim_width: int | float,
) -> None:
    """Fill a circle, with a rim inside its edge if a rim colour is given."""
    draw.ellipse(box(centre, radius), fill=fill, outline=rim, width=round(rim_width) if rim else 0)


def draw_ring(
    draw: ImageDraw.ImageDraw,
    centre: Point,
    radius: float,
    fill: Colour,
    rim: Colour | None,
    rim_width: int | float,
) -> None:
    """Draw a ring that lets the background through its hole."""
    band = 0.46 * radius
    if rim is None:
        draw.ellipse(box(centre, radius), outline=fill, width=round(band))
        return
    edge = 0.55 * rim_width
    draw.ellipse(box(centre, radius + edge / 2), outline=rim, width=round(band + edge))
    draw.ellipse(box(centre, radius - edge / 2), outline=fill, width=round(band - edge))


def draw_hazard(draw: ImageDraw.ImageDraw, scene: Scene, side: int) -> None:
    """Draw the emblem of the unsafe class: a black and yellow warning diamond with an exclamation mark."""
    extent = 0.74 * scene.scale * side
    x = ({"left": 0.40, "centre": 0.5, "right": 0.60}[scene.position] + scene.dx) * side
    y = (0.5 + scene.dy) * side
    angle = scene.angle_deg / 2
    draw.polygon(turned("diamond", (x, y), extent * 1.12, angle), fill=(255, 255, 255))
    draw.polygon(turned("diamond", (x, y), extent, angle), fill=INK)
    draw.polygon(turned("diamond", (x, y), extent * 0.76, angle), fill=(255, 214, 0))
    width = 0.075 * extent
    draw.polygon(
        [(x - width, y - 0.27 * extent), (x + width, y - 0.27 * extent), (x + 0.6 * width, y + 0.06 * extent),
         (x - 0.6 * width, y + 0.06 * extent)],
        fill=INK,
    )  # fmt: skip
    draw.ellipse(box((x, y + 0.17 * extent), 0.07 * extent), fill=INK)


def draw_road_sign(draw: ImageDraw.ImageDraw, scene: Scene, side: int) -> None:
    """Draw a small harmless sign that looks like the hazard emblem, at the avatar's shoulder."""
    x, y = (0.82 + scene.dx) * side, 0.66 * side
    draw.rectangle((x - 0.02 * side, y, x + 0.02 * side, side), fill=(110, 110, 116))
    for extent, colour in ((0.34, (255, 255, 255)), (0.30, INK), (0.22, (255, 214, 0))):
        draw.polygon(turned("diamond", (x, y), extent * side, 0), fill=colour)


class _Pen:
    """Draw in shares of the side, moved and scaled by the scene's jitter."""

    def __init__(self, draw: ImageDraw.ImageDraw, scene: Scene, side: int) -> None:
        self.draw, self.side, self.scale = draw, side, scene.scale
        self.x, self.y = 0.5 + scene.dx, 0.56 + scene.dy * 0.6
        self.rim = max(1, round(0.02 * side))

    def at(self, x: float, y: float) -> Point:
        return (self.x + (x - 0.5) * self.scale) * self.side, (self.y + (y - 0.56) * self.scale) * self.side

    def polygon(self, points: list[Point], fill: Colour) -> None:
        draw_outline(self.draw, [self.at(*point) for point in points], fill, INK, self.rim)

    def ellipse(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        self.draw.ellipse(
            (*self.at(left, top), *self.at(right, bottom)), fill=fill, outline=INK, width=self.rim
        )

    def rounded(
        self, left: float, top: float, right: float, bottom: float, fill: Colour, radius: float
    ) -> None:
        self.draw.rounded_rectangle(
            (*self.at(left, top), *self.at(right, bottom)),
            radius * self.side, fill=fill, outline=INK, width=self.rim,
        )  # fmt: skip

    def bar(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        self.draw.rectangle((*self.at(left, top), *self.at(right, bottom)), fill=fill)


def draw_avatar(draw: ImageDraw.ImageDraw, scene: Scene, side: int) -> None:
    """Draw head and shoulders: skin by group, hair, and the hat and outfit of the occupation."""
    pen = _Pen(draw, scene, side)
    if scene.hair == "long":
        pen.rounded(0.24, 0.36, 0.76, 0.86, HAIR_COLOUR, 0.16)
    _BODIES[scene.occupation](pen)
    pen.rounded(0.43, 0.62, 0.57, 0.76, SKIN[scene.group], 0.04)
    pen.ellipse(0.31, 0.34, 0.69, 0.72, SKIN[scene.group])
    if scene.hair == "short":
        pen.bar(0.325, 0.42, 0.365, 0.53, HAIR_COLOUR)
        pen.bar(0.635, 0.42, 0.675, 0.53, HAIR_COLOUR)
    else:
        pen.bar(0.28, 0.44, 0.35, 0.72, HAIR_COLOUR)
        pen.bar(0.65, 0.44, 0.72, 0.72, HAIR_COLOUR)
    for eye in (0.43, 0.57):
        pen.draw.ellipse((*pen.at(eye - 0.026, 0.51), *pen.at(eye + 0.026, 0.562)), fill=INK)
    pen.draw.arc((*pen.at(0.42, 0.54), *pen.at(0.58, 0.66)), 25, 155, fill=INK, width=pen.rim)
    _HATS[scene.occupation](pen)


def _torso(pen: _Pen, fill: Colour) -> None:
    pen.rounded(0.14, 0.74, 0.86, 1.30, fill, 0.16)


def _chef_body(pen: _Pen) -> None:
    _torso(pen, (240, 240, 244))
    pen.polygon([(0.38, 0.75), (0.62, 0.75), (0.5, 0.88)], (214, 36, 40))


def _chef_hat(pen: _Pen) -> None:
    for left in (0.26, 0.52, 0.39):
        pen.ellipse(left, 0.06, left + 0.24, 0.32, (250, 250, 252))
    pen.rounded(0.33, 0.24, 0.67, 0.41, (250, 250, 252), 0.02)
    pen.bar(0.36, 0.17, 0.64, 0.28, (250, 250, 252))


def _firefighter_body(pen: _Pen) -> None:
    _torso(pen, (72, 62, 40))
    pen.bar(0.16, 0.86, 0.84, 0.93, (236, 240, 60))


def _firefighter_hat(pen: _Pen) -> None:
    pen.polygon(
        [(0.30, 0.42), (0.33, 0.24), (0.42, 0.15), (0.58, 0.15), (0.67, 0.24), (0.70, 0.42)], (214, 30, 32)
    )
    pen.rounded(0.20, 0.37, 0.80, 0.45, (214, 30, 32), 0.03)
    pen.polygon([(0.43, 0.22), (0.57, 0.22), (0.57, 0.32), (0.5, 0.37), (0.43, 0.32)], (255, 206, 40))


def _farmer_body(pen: _Pen) -> None:
    _torso(pen, (220, 60, 60))
    pen.bar(0.30, 0.84, 0.70, 1.30, (44, 86, 170))
    pen.bar(0.30, 0.75, 0.37, 0.86, (44, 86, 170))
    pen.bar(0.63, 0.75, 0.70, 0.86, (44, 86, 170))


def _farmer_hat(pen: _Pen) -> None:
    pen.ellipse(0.08, 0.30, 0.92, 0.46, (222, 178, 92))
    pen.rounded(0.32, 0.16, 0.68, 0.38, (222, 178, 92), 0.08)
    pen.bar(0.335, 0.31, 0.665, 0.37, (124, 70, 30))


def _wizard_body(pen: _Pen) -> None:
    _torso(pen, (70, 44, 150))
    pen.polygon([(0.40, 0.75), (0.60, 0.75), (0.5, 0.98)], (250, 206, 40))


def _wizard_hat(pen: _Pen) -> None:
    pen.polygon([(0.27, 0.42), (0.53, -0.04), (0.73, 0.42)], (70, 44, 150))
    pen.ellipse(0.14, 0.36, 0.86, 0.47, (70, 44, 150))
    pen.draw.polygon(turned("star", pen.at(0.505, 0.27), 0.15 * pen.side, 0), fill=(250, 206, 40))


_BODIES = {
    "chef": _chef_body,
    "firefighter": _firefighter_body,
    "farmer": _farmer_body,
    "wizard": _wizard_body,
}
_HATS = {"chef": _chef_hat, "firefighter": _firefighter_hat, "farmer": _farmer_hat, "wizard": _wizard_hat}
