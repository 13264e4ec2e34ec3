"""Draw the pictures of the demo posts: simple motifs, each in the states that the demo texts talk about.

Everything is drawn by this code, so the pictures carry no one else's rights and can be composed again at any time.
A motif is drawn in unit coordinates (0 to 1, y downwards) with random position, size, colours and light, so that no
two pictures of the same motif are alike.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIZE = 240
"""Side of a finished picture in pixels: a little over the 224 that the image encoder takes, so it can still crop."""

OVERSAMPLING = 3
"""Pillow draws hard edges; drawing larger and scaling down makes them smooth."""

Point = tuple[float, float]
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
CONFETTI: tuple[Colour, ...] = ((232, 64, 90), (250, 170, 50), (250, 215, 70), (150, 90, 200), (240, 120, 180))
PAINTS: tuple[Colour, ...] = (
    (196, 58, 52), (48, 104, 170), (54, 130, 98), (214, 160, 52), (120, 84, 150), (70, 150, 165), (190, 110, 70),
)  # fmt: skip
WALLS: tuple[Colour, ...] = (
    (226, 218, 204), (206, 214, 220), (214, 222, 206), (230, 210, 200), (200, 196, 210), (190, 200, 196),
)  # fmt: skip
WOODS: tuple[Colour, ...] = ((164, 118, 76), (134, 92, 58), (190, 150, 106), (112, 80, 56), (206, 176, 138))


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Blend two colours, because a shade taken from its neighbour looks lit by the same light."""
    return tuple(round(a + (b - a) * share) for a, b in zip(first, second, strict=True))  # type: ignore[return-value]


def dark(colour: Colour, share: float = 0.25) -> Colour:
    """Shade a colour towards black."""
    return mix(colour, (0, 0, 0), share)


def light(colour: Colour, share: float = 0.25) -> Colour:
    """Tint a colour towards white."""
    return mix(colour, WHITE, share)


def vary(rng: random.Random, colour: Colour, amount: int = 14) -> Colour:
    """Shift a colour a little, so that a fixed palette does not give the motif away."""
    return tuple(max(0, min(255, part + rng.randint(-amount, amount))) for part in colour)  # type: ignore[return-value]


class Canvas:
    """An oversampled picture with a movable coordinate frame, so that a motif can be drawn once and placed anywhere."""

    def __init__(self, top: Colour, bottom: Colour) -> None:
        """Start from a background that runs from one colour to another."""
        self.pixels = SIZE * OVERSAMPLING
        steps = np.linspace(0.0, 1.0, self.pixels)[:, None, None]
        rows = np.array(top) * (1 - steps) + np.array(bottom) * steps
        self.image = Image.fromarray(np.repeat(rows, self.pixels, axis=1).astype(np.uint8), "RGB")
        self.draw = ImageDraw.Draw(self.image, "RGBA")
        self._frame = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        self._angle = 0.0

    @contextmanager
    def at(self, x: float, y: float, scale: float = 1.0, angle: float = 0.0, flip: bool = False) -> Iterator[None]:
        """Draw in a frame with its origin at (x, y), scaled and turned clockwise by degrees."""
        before, before_angle = self._frame, self._angle
        turn = math.radians(angle)
        side = -1.0 if flip else 1.0
        inner = np.array(
            [
                [scale * side * math.cos(turn), -scale * math.sin(turn), x],
                [scale * side * math.sin(turn), scale * math.cos(turn), y],
                [0.0, 0.0, 1.0],
            ]
        )
        self._frame = before @ inner
        self._angle = before_angle + angle
        try:
            yield
        finally:
            self._frame, self._angle = before, before_angle

    @property
    def unit(self) -> float:
        """Length in pixels of one unit of the current frame."""
        return float(math.hypot(self._frame[0, 1], self._frame[1, 1])) * self.pixels

    def _place(self, points: Sequence[Point]) -> list[Point]:
        moved = np.array([(x, y, 1.0) for x, y in points]) @ self._frame.T * self.pixels
        return [(float(x), float(y)) for x, y in moved]

    def polygon(self, points: Sequence[Point], fill: Colour, alpha: int = 255) -> None:
        """Fill a polygon."""
        self.draw.polygon(self._place(points), fill=(*fill, alpha))

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour, alpha: int = 255) -> None:
        """Fill an ellipse; as a polygon, because Pillow's own cannot be turned."""
        self.polygon(arc(x, y, rx, ry, 0, 360), fill, alpha)

    def rect(
        self, x0: float, y0: float, x1: float, y1: float, fill: Colour, radius: float = 0.0, alpha: int = 255
    ) -> None:
        """Fill a rectangle, with rounded corners where asked for."""
        if radius <= 0:
            self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill, alpha)
            return
        left, right, top, bottom = x0 + radius, x1 - radius, y0 + radius, y1 - radius
        corners = ((right, top, -90), (right, bottom, 0), (left, bottom, 90), (left, top, 180))
        outline = [point for cx, cy, start in corners for point in arc(cx, cy, radius, radius, start, start + 90)]
        self.polygon(outline, fill, alpha)

    def line(self, points: Sequence[Point], fill: Colour, width: float, alpha: int = 255) -> None:
        """Draw a stroke with round ends."""
        placed = self._place(points)
        pixels = max(1, round(width * self.unit))
        self.draw.line(placed, fill=(*fill, alpha), width=pixels, joint="curve")
        if alpha == 255 and pixels > 3:
            for x, y in (placed[0], placed[-1]):
                half = pixels / 2
                self.draw.ellipse((x - half, y - half, x + half, y + half), fill=fill)

    def text(self, x: float, y: float, words: str, height: float, fill: Colour) -> None:
        """Write words centred on a point; Pillow's built-in font, so that no font file is needed."""
        font = ImageFont.load_default(size=max(6.0, height * self.unit))
        left, top, right, bottom = font.getbbox(words, stroke_width=2)
        mask = Image.new("L", (round(right - left) + 8, round(bottom - top) + 8), 0)
        ImageDraw.Draw(mask).text((4 - left, 4 - top), words, fill=255, font=font, stroke_width=2)
        mask = mask.rotate(-self._angle, expand=True, resample=Image.Resampling.BICUBIC)
        ((cx, cy),) = self._place([(x, y)])
        self.image.paste(
            Image.new("RGB", mask.size, fill), (round(cx - mask.width / 2), round(cy - mask.height / 2)), mask
        )

    def soft(
        self, blobs: Sequence[tuple[float, float, float]], fill: Colour, alpha: int = 200, blur: float = 0.03
    ) -> None:
        """Lay blurred discs (x, y, radius) over the picture: smoke, glow, cloud and cast shadow."""
        small = self.pixels // 4
        mask = Image.new("L", (small, small), 0)
        pen = ImageDraw.Draw(mask)
        for x, y, radius in blobs:
            ((cx, cy),) = self._place([(x, y)])
            reach = radius * self.unit
            pen.ellipse([part / 4 for part in (cx - reach, cy - reach, cx + reach, cy + reach)], fill=alpha)
        mask = mask.filter(ImageFilter.GaussianBlur(blur * self.unit / 4)).resize(self.image.size)
        self.image.paste(Image.new("RGB", self.image.size, fill), (0, 0), mask)

    def shadow(self, x: float, y: float, rx: float, strength: int = 90) -> None:
        """Ground an object with a soft, flat shadow."""
        steps = [(x + rx * share, y, rx * 0.16) for share in np.linspace(-0.85, 0.85, 9)]
        self.soft(steps, (20, 18, 20), strength, blur=0.035)


def arc(x: float, y: float, rx: float, ry: float, start: float, stop: float) -> list[Point]:
    """Points along an ellipse from one angle to another, in degrees clockwise from the right."""
    count = max(8, round(abs(stop - start) / 8))
    angles = [math.radians(start + (stop - start) * step / count) for step in range(count + 1)]
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


def star(x: float, y: float, radius: float, inner: float = 0.45, points: int = 5) -> list[Point]:
    """Outline of a star."""
    outline = []
    for step in range(points * 2):
        reach = radius if step % 2 == 0 else radius * inner
        angle = math.pi * step / points - math.pi / 2
        outline.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    return outline


def heart(x: float, y: float, size: float) -> list[Point]:
    """Outline of a heart."""
    turns = [2 * math.pi * step / 40 for step in range(40)]
    return [
        (
            x + size * 16 * math.sin(t) ** 3 / 17,
            y - size * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 17,
        )
        for t in turns
    ]


def cloud(canvas: Canvas, rng: random.Random, x: float, y: float, width: float, fill: Colour, alpha: int = 235) -> None:
    """Draw a heap of soft discs with a darker belly."""
    blobs = []
    for _ in range(9):
        across = rng.uniform(-0.5, 0.5)
        radius = width * rng.uniform(0.13, 0.22) * (1.15 - abs(across))
        blobs.append((x + across * width, y - rng.uniform(0, 0.12) * width * (1 - abs(across)), radius))
    canvas.soft([(bx, by + width * 0.05, r) for bx, by, r in blobs], dark(fill, 0.18), alpha, blur=0.012)
    canvas.soft(blobs, fill, alpha, blur=0.012)


def sun(canvas: Canvas, rng: random.Random, x: float, y: float, radius: float) -> None:
    """Draw a blazing sun with rays."""
    canvas.soft([(x, y, radius * 2.1)], (255, 244, 190), 190, blur=radius * 0.8)
    start = rng.uniform(0, 30)
    for step in range(12):
        angle = math.radians(start + 30 * step)
        near, far = radius * 1.25, radius * rng.uniform(1.6, 1.95)
        ends = [
            (x + near * math.cos(angle), y + near * math.sin(angle)),
            (x + far * math.cos(angle), y + far * math.sin(angle)),
        ]
        canvas.line(ends, (255, 214, 60), radius * 0.16)
    canvas.ellipse(x, y, radius, radius, (255, 206, 40))
    canvas.ellipse(x - radius * 0.12, y - radius * 0.12, radius * 0.8, radius * 0.8, (255, 224, 90))


def rain(canvas: Canvas, rng: random.Random, count: int, bottom: float = 1.0) -> None:
    """Slanted streaks of rain over the whole picture."""
    slant = rng.uniform(-0.03, 0.03)
    for _ in range(count):
        x, y, length = rng.uniform(0, 1), rng.uniform(0.15, bottom), rng.uniform(0.04, 0.08)
        canvas.line([(x, y), (x + slant, y + length)], (190, 205, 225), 0.005, alpha=170)


def bolt(canvas: Canvas, x: float, y: float, size: float) -> None:
    """Draw a flash of lightning."""
    canvas.soft([(x, y + size * 0.5, size * 0.4)], (230, 225, 255), 110, blur=size * 0.3)
    shape = [(0.05, 0), (0.3, 0), (0.14, 0.36), (0.34, 0.36), (-0.1, 1.0), (0.03, 0.52), (-0.16, 0.52)]
    canvas.polygon([(x + px * size, y + py * size) for px, py in shape], (255, 240, 130))


def smoke(
    canvas: Canvas, rng: random.Random, x: float, y: float, height: float, fill: Colour, alpha: int = 150
) -> None:
    """Draw a rising, widening plume."""
    sway, drift = rng.uniform(0.02, 0.05), rng.uniform(-0.12, 0.12)
    for step in range(11):
        share = step / 10
        bx = x + sway * math.sin(share * 7) + drift * share
        canvas.soft(
            [(bx, y - height * share, 0.025 + 0.06 * share)], fill, round(alpha * (1 - 0.6 * share)), blur=0.025
        )


def sparkle(canvas: Canvas, x: float, y: float, size: float) -> None:
    """Draw a four-pointed glint: this thing is new."""
    canvas.soft([(x, y, size * 0.5)], WHITE, 150, blur=size * 0.4)
    canvas.polygon(star(x, y, size, 0.2, 4), (255, 252, 225))


def outdoors(rng: random.Random, state: str) -> Canvas:
    """Draw a sky in the mood of the state: blue, pale, or dark."""
    if state == "positive":
        return Canvas(vary(rng, (66, 150, 232)), vary(rng, (196, 228, 250), 8))
    if state == "negative":
        return Canvas(vary(rng, (44, 48, 62), 8), vary(rng, (112, 116, 128), 10))
    return Canvas(vary(rng, (186, 194, 202), 10), vary(rng, (216, 220, 222), 8))


def table(rng: random.Random, edge: float) -> Canvas:
    """Draw a wall with a table top in front, for things that stand."""
    wall = vary(rng, rng.choice(WALLS))
    canvas = Canvas(light(wall, 0.1), dark(wall, 0.08))
    wood = vary(rng, rng.choice(WOODS))
    canvas.rect(0, edge, 1, 1, wood)
    for _ in range(7):
        y = rng.uniform(edge + 0.02, 1)
        canvas.line([(0, y), (1, y + rng.uniform(-0.01, 0.01))], dark(wood, 0.12), 0.004, alpha=150)
    canvas.rect(0, edge, 1, edge + 0.012, light(wood, 0.2))
    return canvas


def desktop(rng: random.Random) -> Canvas:
    """Draw a table top seen from above, for things that lie."""
    wood = vary(rng, rng.choice((*WOODS, (150, 156, 160), (96, 108, 116), (176, 190, 196))))
    canvas = Canvas(light(wood, 0.08), dark(wood, 0.1))
    for step in range(1, 5):
        x = step / 5 + rng.uniform(-0.03, 0.03)
        canvas.line([(x, 0), (x + rng.uniform(-0.02, 0.02), 1)], dark(wood, 0.22), 0.005, alpha=160)
    return canvas


def draw_picnic(rng: random.Random, state: str) -> Canvas:
    """Draw a blanket and a basket under blazing sun, pale cloud or thunderstorm."""
    canvas = outdoors(rng, state)
    horizon = rng.uniform(0.56, 0.64)
    green = {"positive": (112, 184, 72), "neutral": (122, 154, 96), "negative": (58, 82, 58)}[state]
    green = vary(rng, green, 10)
    if state == "positive":
        sun(
            canvas,
            rng,
            rng.choice((rng.uniform(0.22, 0.34), rng.uniform(0.66, 0.78))),
            rng.uniform(0.2, 0.28),
            rng.uniform(0.09, 0.12),
        )
        if rng.random() < 0.6:
            cloud(canvas, rng, rng.uniform(0.3, 0.7), rng.uniform(0.4, 0.46), rng.uniform(0.2, 0.3), (250, 252, 255))
    elif state == "neutral":
        for _ in range(3):
            cloud(
                canvas,
                rng,
                rng.uniform(0, 1),
                rng.uniform(0.12, 0.42),
                rng.uniform(0.35, 0.6),
                vary(rng, (226, 228, 230), 5),
                190,
            )
    else:
        for _ in range(6):
            cloud(
                canvas,
                rng,
                rng.uniform(0, 1),
                rng.uniform(0.06, 0.26),
                rng.uniform(0.4, 0.6),
                vary(rng, (72, 76, 90), 12),
                240,
            )
        bolt(canvas, rng.uniform(0.3, 0.7), rng.uniform(0.22, 0.28), rng.uniform(0.28, 0.36))
    canvas.ellipse(rng.uniform(0.1, 0.9), horizon + 0.12, 0.7, 0.18, dark(green, 0.15))
    canvas.polygon([(0, horizon + 0.03), (1, horizon + rng.uniform(0, 0.05)), (1, 1), (0, 1)], green)
    cloth = rng.choice(((208, 52, 56), (52, 96, 180), (206, 120, 44), (130, 70, 150)))
    pale = (246, 240, 228)
    if state == "negative":
        cloth, pale = dark(cloth, 0.35), dark(pale, 0.35)
    with canvas.at(rng.uniform(0.4, 0.6), rng.uniform(0.78, 0.82), rng.uniform(0.62, 0.76), flip=rng.random() < 0.5):
        columns, rows = 8, 5
        for row in range(rows):
            for column in range(columns):
                corners = []
                for dc, dr in ((0, 0), (1, 0), (1, 1), (0, 1)):
                    depth = (row + dr) / rows
                    corners.append((((column + dc) / columns - 0.5) * (0.72 + 0.36 * depth), -0.13 + 0.3 * depth))
                canvas.polygon(corners, cloth if (row + column) % 2 else pale)
        straw = vary(rng, (178, 126, 66)) if state != "negative" else (104, 78, 50)
        canvas.line(arc(0.02, -0.1, 0.11, 0.15, 180, 360), dark(straw, 0.2), 0.022)
        canvas.polygon([(-0.13, -0.1), (0.17, -0.1), (0.14, 0.07), (-0.1, 0.07)], straw)
        for step in range(4):
            y = -0.07 + 0.035 * step
            canvas.line([(-0.12, y), (0.155, y)], dark(straw, 0.25), 0.008)
        canvas.ellipse(-0.26, 0.05, 0.045, 0.045, (206, 44, 40) if state != "negative" else (120, 40, 38))
        canvas.ellipse(0.3, 0.06, 0.09, 0.03, WHITE if state != "negative" else (150, 150, 156))
    if state == "negative":
        rain(canvas, rng, 130)
    return canvas


def draw_garden(rng: random.Random, state: str) -> Canvas:
    """Draw a flower bed before a fence: in bloom, in leaf, or wilted."""
    if state == "positive":
        canvas = Canvas(vary(rng, (120, 188, 240)), vary(rng, (206, 234, 246), 8))
    elif state == "negative":
        canvas = Canvas(vary(rng, (176, 172, 160), 10), vary(rng, (206, 198, 180), 10))
    else:
        canvas = Canvas(vary(rng, (186, 200, 208), 10), vary(rng, (216, 222, 222), 8))
    ground = rng.uniform(0.74, 0.8)
    if rng.random() < 0.6:
        plank = vary(rng, rng.choice(((232, 230, 222), (170, 130, 90), (150, 160, 160))), 8)
        offset = rng.uniform(0, 0.1)
        for y in (0.46, 0.62):
            canvas.rect(0, y, 1, y + 0.035, dark(plank, 0.18))
        for step in range(-1, 9):
            x = offset + step * 0.125
            canvas.polygon([(x, 0.42), (x + 0.035, 0.37), (x + 0.07, 0.42), (x + 0.07, ground), (x, ground)], plank)
    else:
        canvas.rect(0, 0.5, 1, ground + 0.02, vary(rng, (104, 150, 84) if state != "negative" else (160, 150, 104)))
    soil = vary(rng, (104, 72, 48) if state != "negative" else (156, 128, 96), 10)
    canvas.polygon([(0, ground), (0.5, ground - 0.03), (1, ground), (1, 1), (0, 1)], soil)
    for _ in range(40):
        canvas.ellipse(
            rng.uniform(0, 1), rng.uniform(ground + 0.02, 1), 0.012, 0.007, dark(soil, rng.uniform(0.1, 0.3))
        )
    if state == "negative":
        for _ in range(7):
            x, y = rng.uniform(0, 1), rng.uniform(ground + 0.05, 0.95)
            crack = [(x, y)]
            for _ in range(4):
                crack.append((crack[-1][0] + rng.uniform(-0.06, 0.08), crack[-1][1] + rng.uniform(-0.03, 0.04)))
            canvas.line(crack, dark(soil, 0.5), 0.007)
    count = rng.randint(5, 7)
    for step in range(count):
        x = (step + 0.5) / count + rng.uniform(-0.03, 0.03)
        y = ground + rng.uniform(0.03, 0.12)
        height = rng.uniform(0.34, 0.5)
        if state == "negative":
            _wilted_flower(canvas, rng, x, y, height * 0.85)
        else:
            _fresh_flower(canvas, rng, x, y, height, in_bloom=state == "positive")
    return canvas


def _fresh_flower(canvas: Canvas, rng: random.Random, x: float, y: float, height: float, in_bloom: bool) -> None:
    green = vary(rng, (66, 142, 60))
    lean = rng.uniform(-0.05, 0.05)
    stem = [(x + lean * t * t, y - height * t) for t in (0, 0.25, 0.5, 0.75, 1)]
    canvas.line(stem, green, 0.016)
    for side, share in ((-1, 0.3), (1, 0.48), (-1, 0.62)):
        with canvas.at(x + lean * share * share, y - height * share, angle=side * rng.uniform(25, 45)):
            canvas.ellipse(side * 0.05, 0, 0.055, 0.022, light(green, 0.1))
    top_x, top_y = stem[-1]
    if not in_bloom:
        canvas.ellipse(top_x, top_y - 0.012, 0.022, 0.034, light(green, 0.12))
        canvas.line([(top_x, top_y + 0.015), (top_x, top_y - 0.035)], dark(green, 0.1), 0.005)
        return
    petal = vary(rng, rng.choice(CONFETTI))
    radius, count = rng.uniform(0.06, 0.08), rng.choice((6, 8))
    for step in range(count):
        with canvas.at(top_x, top_y, angle=360 * step / count + lean * 300):
            canvas.ellipse(radius * 0.72, 0, radius * 0.62, radius * 0.36, mix(petal, WHITE, 0.14 * (step % 2)))
    canvas.ellipse(top_x, top_y, radius * 0.4, radius * 0.4, (250, 204, 60) if petal[2] > 70 else (120, 66, 30))


def _wilted_flower(canvas: Canvas, rng: random.Random, x: float, y: float, height: float) -> None:
    stalk = vary(rng, (124, 108, 62))
    side = rng.choice((-1, 1))
    reach = rng.uniform(0.08, 0.12)
    stem = [(x, y), (x + side * 0.005, y - height * 0.55)]
    start, stop = (180, 330) if side > 0 else (0, -150)
    stem += arc(x + side * reach, y - height * 0.6, reach, height * 0.3, start, stop)
    canvas.line(stem, stalk, 0.015)
    for share in (0.2, 0.42):
        with canvas.at(x, y - height * share, angle=rng.choice((60, 120)) + rng.uniform(-10, 10)):
            canvas.ellipse(0.045, 0, 0.048, 0.014, dark(stalk, 0.15))
    head_x, head_y = stem[-1]
    petal = vary(rng, rng.choice(((120, 82, 56), (136, 96, 70), (110, 70, 66), (146, 112, 74))), 8)
    for step in range(5):
        with canvas.at(head_x, head_y, angle=90 + (step - 2) * 24 + rng.uniform(-6, 6)):
            canvas.ellipse(0.05, 0, 0.046, 0.017, dark(petal, 0.1 * (step % 2)))
    canvas.ellipse(head_x, head_y, 0.028, 0.024, dark(petal, 0.45))
    for _ in range(2):
        canvas.ellipse(x + rng.uniform(-0.1, 0.1), y + rng.uniform(0.01, 0.06), 0.022, 0.009, petal)


def draw_cake(rng: random.Random, state: str) -> Canvas:
    """Something from the oven: a decorated golden cake, a plain tin, or a burnt and smoking lump."""
    canvas = table(rng, rng.uniform(0.66, 0.72))
    x, y, scale = rng.uniform(0.44, 0.56), rng.uniform(0.74, 0.78), rng.uniform(0.82, 0.96)
    canvas.shadow(x, y + 0.03, 0.36 * scale)
    with canvas.at(x, y, scale, flip=rng.random() < 0.5):
        if state == "neutral":
            metal = vary(rng, (158, 164, 170), 10)
            canvas.polygon([(-0.3, -0.2), (0.3, -0.2), (0.27, 0), (-0.27, 0)], metal)
            canvas.ellipse(0, 0, 0.27, 0.05, metal)
            for share in (-0.7, -0.35, 0.35, 0.7):
                canvas.line(
                    [(0.3 * share, -0.17), (0.27 * share, 0.02)],
                    light(metal, 0.2) if share < 0 else dark(metal, 0.15),
                    0.012,
                )
            canvas.ellipse(0, -0.2, 0.32, 0.075, light(metal, 0.35))
            canvas.ellipse(0, -0.195, 0.29, 0.06, dark(metal, 0.3))
            canvas.ellipse(0, -0.17, 0.265, 0.042, vary(rng, (226, 204, 160), 8))
            return canvas
        plate = vary(rng, (238, 238, 242), 8)
        canvas.ellipse(0, 0.02, 0.4, 0.07, dark(plate, 0.14))
        canvas.ellipse(0, 0.005, 0.4, 0.07, plate)
        if state == "negative":
            coal = vary(rng, (40, 32, 30), 6)
            top = [
                (-0.27, -0.14),
                (-0.22, -0.2),
                (-0.12, -0.17),
                (-0.03, -0.13),
                (0.07, -0.15),
                (0.16, -0.22),
                (0.24, -0.19),
                (0.27, -0.12),
            ]
            canvas.polygon([*top, (0.28, 0.0), *arc(0, 0.0, 0.28, 0.05, 0, 180)], coal)
            canvas.polygon([(-0.25, -0.14), *top[1:-1], (0.25, -0.13), (0.1, -0.09), (-0.1, -0.09)], light(coal, 0.12))
            for _ in range(6):
                cx, cy = rng.uniform(-0.22, 0.2), rng.uniform(-0.13, 0.0)
                canvas.line(
                    [(cx, cy), (cx + 0.03, cy + 0.03), (cx + 0.02, cy + 0.06)],
                    rng.choice(((110, 60, 34), (14, 12, 12))),
                    0.009,
                )
            for _ in range(14):
                canvas.ellipse(rng.uniform(-0.35, 0.35), rng.uniform(0.0, 0.05), 0.011, 0.007, coal)
            for share in (-0.14, 0.02, 0.16):
                smoke(canvas, rng, share, -0.2, rng.uniform(0.34, 0.5), (70, 68, 70), 190)
            return canvas
        sponge, cream = (
            vary(rng, (232, 176, 92), 10),
            vary(rng, rng.choice(((255, 246, 228), (250, 196, 210), (122, 72, 46), (255, 236, 170))), 6),
        )
        canvas.rect(-0.28, -0.24, 0.28, 0.0, sponge)
        canvas.ellipse(0, 0.0, 0.28, 0.045, sponge)
        canvas.polygon([*arc(0, -0.12, 0.28, 0.045, 180, 0), *arc(0, -0.09, 0.28, 0.045, 0, 180)], light(cream, 0.2))
        canvas.ellipse(0, -0.24, 0.29, 0.055, cream)
        drips = [(-0.29, -0.24)]
        for step in range(12):
            px = -0.29 + 0.58 * (step + 0.5) / 12
            drips.append(
                (
                    px,
                    -0.2
                    + 0.045 * math.sqrt(max(0.0, 1 - (px / 0.29) ** 2))
                    + (0.05 if step % 2 else 0.0) * rng.uniform(0.6, 1.2),
                )
            )
        canvas.polygon([*drips, (0.29, -0.24)], cream)
        canvas.ellipse(0, -0.245, 0.26, 0.042, light(cream, 0.25))
        if rng.random() < 0.5:
            for share in np.linspace(-0.2, 0.2, rng.randint(3, 5)):
                stick = vary(rng, rng.choice(((90, 160, 220), (232, 90, 120), (120, 190, 110))))
                canvas.line([(share, -0.25), (share, -0.36)], stick, 0.018)
                canvas.soft([(share, -0.395, 0.03)], (255, 230, 140), 150, blur=0.02)
                canvas.ellipse(share, -0.39, 0.011, 0.022, (255, 176, 40))
        else:
            for share in np.linspace(-0.2, 0.2, rng.randint(4, 6)):
                canvas.ellipse(share, -0.27, 0.035, 0.02, light(cream, 0.5))
                canvas.ellipse(share, -0.295, 0.027, 0.027, (206, 30, 46))
                canvas.ellipse(share - 0.008, -0.303, 0.008, 0.008, (250, 170, 180))
        for _ in range(16):
            canvas.ellipse(rng.uniform(-0.25, 0.25), rng.uniform(-0.26, -0.225), 0.009, 0.005, rng.choice(CONFETTI))
    return canvas


def draw_chart(rng: random.Random, state: str) -> Canvas:
    """Draw a chart on a board: steeply up in green, level in grey, or steeply down in red."""
    wall = vary(rng, rng.choice((*WALLS, (92, 104, 120), (120, 132, 128))))
    canvas = Canvas(light(wall, 0.05), dark(wall, 0.12))
    frame = vary(rng, rng.choice(((60, 64, 72), (150, 154, 160), (120, 86, 58))))
    with canvas.at(
        0.5 + rng.uniform(-0.03, 0.03), 0.5 + rng.uniform(-0.03, 0.03), rng.uniform(0.86, 0.96), rng.uniform(-4, 4)
    ):
        canvas.rect(-0.46, -0.38, 0.46, 0.38, frame, 0.02)
        board = {"positive": (228, 247, 230), "neutral": (247, 248, 249), "negative": (252, 226, 222)}[state]
        canvas.rect(-0.44, -0.36, 0.44, 0.36, vary(rng, board, 4))
        for step in range(5):
            y = -0.22 + 0.11 * step
            canvas.line([(-0.34, y), (0.36, y)], (218, 222, 226), 0.005)
        ink = {"positive": (34, 160, 74), "neutral": (120, 130, 142), "negative": (214, 40, 40)}[state]
        ink = vary(rng, ink, 12)
        count = rng.randint(6, 8)
        rise = {"positive": 1.0, "neutral": 0.0, "negative": -1.0}[state]
        heights = []
        for step in range(count):
            share = step / (count - 1)
            heights.append(0.5 + rise * (share - 0.5) * rng.uniform(0.82, 0.98) + rng.uniform(-0.035, 0.035))
        xs = [-0.3 + 0.58 * step / (count - 1) for step in range(count)]
        ys = [0.27 - 0.5 * height for height in heights]
        style = rng.choice(("line", "bars", "both"))
        if style == "line":
            canvas.polygon([*zip(xs, ys, strict=True), (xs[-1], 0.3), (xs[0], 0.3)], ink, alpha=60)
        else:
            for x, y in zip(xs, ys, strict=True):
                canvas.rect(
                    x - 0.026, min(y + 0.03, 0.28), x + 0.026, 0.3, mix(ink, WHITE, 0.35 if style == "both" else 0.05)
                )
        canvas.line([(-0.36, -0.3), (-0.36, 0.3), (0.38, 0.3)], (70, 74, 80), 0.01)
        if style == "bars":
            ys = [y - 0.06 for y in ys]
            xs, ys = [xs[0], xs[-1]], [ys[0], ys[-1]]
        canvas.line(list(zip(xs, ys, strict=True)), ink, 0.03)
        if style == "line":
            for x, y in zip(xs, ys, strict=True):
                canvas.ellipse(x, y, 0.017, 0.017, dark(ink, 0.2))
        if state != "neutral":
            angle = math.degrees(math.atan2(ys[-1] - ys[-2], xs[-1] - xs[-2]))
            with canvas.at(xs[-1], ys[-1], angle=angle):
                canvas.polygon([(0.09, 0), (-0.04, -0.085), (-0.04, 0.085)], ink)
    return canvas


def draw_boat(rng: random.Random, state: str) -> Canvas:
    """Draw a boat: sailing in the sun, moored at a jetty, or going down."""
    canvas = outdoors(rng, state)
    level = rng.uniform(0.6, 0.66)
    sea = {"positive": (30, 124, 190), "neutral": (120, 142, 152), "negative": (36, 54, 70)}[state]
    sea = vary(rng, sea, 10)
    if state == "positive":
        sun(
            canvas,
            rng,
            rng.choice((0.2, 0.8)) + rng.uniform(-0.03, 0.03),
            rng.uniform(0.18, 0.26),
            rng.uniform(0.08, 0.1),
        )
    elif state == "negative":
        for _ in range(5):
            cloud(
                canvas,
                rng,
                rng.uniform(0, 1),
                rng.uniform(0.06, 0.22),
                rng.uniform(0.4, 0.6),
                vary(rng, (74, 78, 90), 10),
                240,
            )
    else:
        cloud(canvas, rng, rng.uniform(0.2, 0.8), rng.uniform(0.18, 0.3), rng.uniform(0.3, 0.5), (228, 230, 232), 170)
    canvas.rect(0, level, 1, 1, sea)
    hull, flip = vary(rng, rng.choice(PAINTS)), rng.random() < 0.5
    x, scale = rng.uniform(0.44, 0.56), rng.uniform(0.86, 1.0)
    if state == "negative":
        with canvas.at(x, level + 0.06, scale, angle=rng.uniform(38, 56) * rng.choice((-1, 1))):
            _hull(canvas, dark(hull, 0.2))
            canvas.line([(0, -0.02), (0, -0.42)], (96, 74, 54), 0.02)
            canvas.polygon([(0.02, -0.4), (0.1, -0.3), (0.05, -0.24), (0.14, -0.14), (0.02, -0.12)], (176, 174, 170))
            canvas.polygon([(-0.02, -0.36), (-0.07, -0.24), (-0.02, -0.18)], (160, 158, 156))
        water = [(0.0, 1.0), (0.0, level + 0.06)]
        phase = rng.uniform(0, 6)
        water += [(px, level + 0.06 + 0.02 * math.sin(phase + px * 26)) for px in np.linspace(0, 1, 60)]
        canvas.polygon([*water, (1.0, 1.0)], sea, alpha=242)
        for _ in range(9):
            canvas.ellipse(x + rng.uniform(-0.25, 0.25), level + rng.uniform(0.07, 0.16), 0.02, 0.008, (176, 190, 200))
        ring_x, ring_y = x + rng.choice((-1, 1)) * rng.uniform(0.27, 0.33), level + rng.uniform(0.16, 0.22)
        for step in range(8):
            piece = [
                *arc(ring_x, ring_y, 0.07, 0.035, 45 * step, 45 * step + 45),
                *arc(ring_x, ring_y, 0.038, 0.017, 45 * step + 45, 45 * step),
            ]
            canvas.polygon(piece, (226, 70, 40) if step % 2 else (240, 240, 240))
        _waves(canvas, rng, level + 0.1, light(sea, 0.25))
        rain(canvas, rng, 90)
        return canvas
    if state == "neutral":
        wood = vary(rng, (126, 104, 84), 8)
        edge = level + 0.1
        for post in (0.06, 0.24, 0.42):
            px = post if not flip else 1 - post
            canvas.rect(px - 0.018, edge - 0.1, px + 0.018, edge + 0.16, dark(wood, 0.25))
        canvas.rect(
            *((0.0, edge - 0.02, 0.46, edge + 0.025) if not flip else (0.54, edge - 0.02, 1.0, edge + 0.025)), wood
        )
        x = 0.62 if not flip else 0.38
    with canvas.at(x, level + 0.06, scale, angle=rng.uniform(-4, 4) if state == "positive" else 0, flip=flip):
        canvas.line([(0, -0.02), (0, -0.46)], (112, 82, 56), 0.02)
        if state == "positive":
            sail = rng.choice((WHITE, (255, 244, 214), (250, 196, 60), (240, 90, 80)))
            canvas.polygon([(0.02, -0.45), (0.26, -0.1), (0.02, -0.1)], sail)
            canvas.polygon([(-0.02, -0.42), (-0.2, -0.1), (-0.02, -0.1)], dark(sail, 0.08))
            canvas.polygon([(0, -0.5), (0.09, -0.475), (0, -0.45)], (226, 60, 60))
        else:
            canvas.line([(0.0, -0.1), (0.2, -0.1)], (112, 82, 56), 0.016)
            canvas.line([(0.02, -0.115), (0.19, -0.115)], (206, 204, 198), 0.028)
            canvas.line([(-0.24, -0.03), (-0.34, 0.0), (-0.42, -0.04)], (90, 86, 80), 0.008)
        _hull(canvas, hull)
    canvas.polygon([(0, 1), (0, level + 0.125), (1, level + 0.125), (1, 1)], sea, alpha=205)
    _waves(canvas, rng, level + 0.14, light(sea, 0.3))
    return canvas


def _hull(canvas: Canvas, paint: Colour) -> None:
    canvas.polygon([(-0.3, -0.06), (0.32, -0.06), (0.22, 0.09), (-0.22, 0.09)], paint)
    canvas.polygon([(-0.3, -0.06), (0.32, -0.06), (0.305, -0.035), (-0.285, -0.035)], light(paint, 0.55))


def _waves(canvas: Canvas, rng: random.Random, top: float, fill: Colour) -> None:
    for _ in range(14):
        x, y, width = rng.uniform(0, 1), rng.uniform(top, 0.98), rng.uniform(0.05, 0.1)
        canvas.line(arc(x, y, width / 2, 0.012, 200, 340), fill, 0.007)


def draw_phone(rng: random.Random, state: str) -> Canvas:
    """Draw a phone lying on a table: full of hearts, showing the time, or with a smashed screen."""
    canvas = desktop(rng)
    x, y, angle, scale = rng.uniform(0.46, 0.54), rng.uniform(0.48, 0.52), rng.uniform(-14, 14), rng.uniform(0.9, 1.0)
    with canvas.at(x, y, scale, angle):
        canvas.soft([(0.02, dy, 0.2) for dy in np.linspace(-0.22, 0.26, 7)], (16, 14, 14), 120, blur=0.04)
        body = vary(rng, rng.choice(((30, 32, 36), (222, 222, 226), (60, 76, 110), (186, 140, 130))), 8)
        canvas.rect(-0.23, -0.44, 0.23, 0.44, body, 0.06)
        screen = {
            "positive": rng.choice(((255, 150, 170), (255, 200, 90), (110, 200, 240), (130, 214, 150))),
            "neutral": rng.choice(((62, 70, 80), (84, 92, 96), (50, 60, 70))),
            "negative": (26, 28, 34),
        }[state]
        screen = vary(rng, screen, 10)
        canvas.rect(-0.205, -0.4, 0.205, 0.4, screen, 0.04)
        canvas.rect(-0.05, -0.425, 0.05, -0.413, (14, 14, 16), 0.005)
        if state == "positive":
            canvas.polygon(
                [(-0.205, 0.1), (0.205, -0.15), (0.205, 0.38), (-0.205, 0.38)], light(screen, 0.3), alpha=150
            )
            canvas.ellipse(0, -0.16, 0.13, 0.13, (255, 214, 50))
            for side in (-1, 1):
                canvas.ellipse(side * 0.045, -0.19, 0.016, 0.024, (70, 46, 20))
            canvas.line(arc(0, -0.155, 0.075, 0.07, 20, 160), (70, 46, 20), 0.02)
            canvas.polygon(heart(0, 0.16, 0.09), (230, 36, 66))
            for _ in range(6):
                hx, hy = (
                    rng.uniform(-0.16, 0.16),
                    rng.choice((rng.uniform(0.02, 0.06), rng.uniform(0.27, 0.36), rng.uniform(-0.36, -0.32))),
                )
                canvas.polygon(
                    heart(hx, hy, rng.uniform(0.018, 0.034)), rng.choice(((240, 60, 90), WHITE, (250, 110, 140)))
                )
        elif state == "neutral":
            canvas.text(0, -0.2, f"{rng.randint(8, 19)}:{rng.randint(10, 59)}", 0.13, (232, 234, 236))
            canvas.rect(-0.07, -0.1, 0.07, -0.085, (190, 194, 198))
            for row in range(2):
                for column in range(4):
                    cx, cy = -0.14 + 0.093 * column, 0.2 + 0.1 * row
                    canvas.rect(cx - 0.03, cy - 0.03, cx + 0.03, cy + 0.03, vary(rng, (140, 150, 158), 14), 0.01)
        else:
            canvas.polygon([(-0.205, -0.1), (0.205, -0.36), (0.205, -0.1), (-0.205, 0.2)], (70, 74, 84), alpha=140)
            _cracks(canvas, rng, rng.uniform(-0.1, 0.1), rng.uniform(-0.2, 0.2))
    return canvas


def _cracks(canvas: Canvas, rng: random.Random, x: float, y: float) -> None:
    spokes = []
    count = rng.randint(11, 14)
    for step in range(count):
        angle = 2 * math.pi * (step + rng.uniform(-0.25, 0.25)) / count
        spoke = [(x, y)]
        for reach in (0.05, 0.11, 0.18, 0.27, 0.38, 0.5, 0.65):
            bend = angle + rng.uniform(-0.09, 0.09)
            px, py = x + reach * math.cos(bend), y + reach * math.sin(bend)
            if abs(px) > 0.204 or abs(py) > 0.398:
                break
            spoke.append((px, py))
        spokes.append(spoke)
    for spoke in spokes:
        if len(spoke) > 1:
            canvas.line(spoke, (236, 240, 244), 0.008)
    for ring in (1, 2, 3, 4):
        for first, second in zip(spokes, [*spokes[1:], spokes[0]], strict=True):
            if len(first) > ring and len(second) > ring and rng.random() < 0.85:
                canvas.line([first[ring], second[ring]], (214, 220, 228), 0.006)
                if rng.random() < 0.25:
                    canvas.polygon([first[ring], second[ring], first[ring - 1]], (150, 158, 170), alpha=150)
    canvas.ellipse(x, y, 0.022, 0.022, (236, 240, 244))


def draw_exam(rng: random.Random, state: str) -> Canvas:
    """Draw a written sheet on a desk: top mark, no mark yet, or failed."""
    canvas = desktop(rng)
    with canvas.at(rng.uniform(0.47, 0.53), rng.uniform(0.48, 0.52), rng.uniform(0.92, 1.0), rng.uniform(-10, 10)):
        canvas.soft([(0.02, dy, 0.28) for dy in np.linspace(-0.15, 0.18, 5)], (16, 14, 14), 110, blur=0.04)
        paper = vary(rng, (250, 249, 244), 5)
        canvas.rect(-0.34, -0.43, 0.34, 0.43, paper)
        if rng.random() < 0.5:
            canvas.line([(-0.25, -0.43), (-0.25, 0.43)], (232, 150, 150), 0.005)
        ink = rng.choice(((58, 66, 110), (60, 60, 64), (36, 70, 120)))
        for step in range(11):
            y = -0.34 + 0.068 * step
            px = -0.21
            canvas.line([(-0.3, y + 0.022), (0.3, y + 0.022)], (206, 214, 226), 0.003)
            while px < rng.uniform(0.12, 0.27):
                word = rng.uniform(0.03, 0.09)
                canvas.line([(px, y), (px + word / 2, y + rng.uniform(-0.006, 0.006)), (px + word, y)], ink, 0.011)
                px += word + 0.03
        if state == "positive":
            green = vary(rng, rng.choice(((30, 150, 70), (22, 136, 84))), 10)
            canvas.ellipse(0.1, -0.2, 0.19, 0.17, paper, alpha=225)
            canvas.line(arc(0.1, -0.2, 0.18, 0.16, 0, 360), green, 0.018)
            canvas.text(0.1, -0.2, rng.choice(("A+", "A+", "A")), 0.27, green)
            for sx in (-0.14, 0.0, 0.14) if rng.random() < 0.6 else (-0.1, 0.1):
                canvas.polygon(star(sx * 1.3, 0.24, 0.125), (250, 190, 30))
                canvas.polygon(star(sx * 1.3, 0.24, 0.07), (255, 220, 90))
            for y in (-0.02, 0.08):
                canvas.line([(-0.29, y), (-0.265, y + 0.03), (-0.2, y - 0.05)], green, 0.014)
        elif state == "negative":
            red = vary(rng, (212, 30, 34), 10)
            canvas.ellipse(0.1, -0.2, 0.19, 0.17, paper, alpha=225)
            canvas.line(arc(0.1, -0.2, 0.18, 0.16, 0, 360), red, 0.018)
            canvas.text(0.1, -0.2, rng.choice(("F", "F", "F-")), 0.29, red)
            cx, cy, r = rng.uniform(-0.05, 0.05), rng.uniform(0.16, 0.2), rng.uniform(0.16, 0.2)
            canvas.line([(cx - r, cy - r), (cx + r, cy + r)], red, 0.03)
            canvas.line([(cx + r, cy - r), (cx - r, cy + r)], red, 0.03)
            for y in (-0.03, 0.39):
                canvas.line([(px, y + 0.01 * math.sin(px * 90)) for px in np.linspace(-0.22, 0.22, 40)], red, 0.01)
        else:
            with canvas.at(0.2, 0.22, 0.9, rng.uniform(-60, -25)):
                pen = vary(rng, rng.choice(PAINTS))
                canvas.rect(-0.24, -0.022, 0.2, 0.022, pen, 0.01)
                canvas.rect(-0.24, -0.022, -0.14, 0.022, dark(pen, 0.35), 0.01)
                canvas.polygon([(0.2, -0.02), (0.26, 0), (0.2, 0.02)], (200, 200, 204))
    return canvas


def draw_car(rng: random.Random, state: str) -> Canvas:
    """Draw a car: new with a bow on the roof, parked, or wrecked and smoking."""
    canvas = outdoors(rng, "positive" if state == "positive" else "neutral")
    level = rng.uniform(0.68, 0.73)
    if state == "positive":
        sun(canvas, rng, rng.choice((0.16, 0.84)), rng.uniform(0.16, 0.2), 0.075)
        canvas.ellipse(rng.uniform(0.2, 0.8), level + 0.1, 0.8, 0.24, vary(rng, (110, 180, 84)))
    elif state == "neutral":
        wall = vary(rng, rng.choice(((168, 160, 150), (150, 156, 164), (178, 168, 158))), 8)
        canvas.rect(0, rng.uniform(0.26, 0.34), 1, level, wall)
        for step in range(1, 6):
            canvas.line([(0, 0.3 + 0.08 * step), (1, 0.3 + 0.08 * step)], dark(wall, 0.08), 0.004)
    else:
        canvas.ellipse(rng.uniform(0.2, 0.8), level + 0.12, 0.8, 0.22, vary(rng, (104, 118, 88), 8))
    road = vary(rng, (126, 128, 132) if state != "negative" else (98, 100, 104), 8)
    canvas.rect(0, level, 1, 1, road)
    if state == "neutral":
        for px in (0.06, 0.94):
            canvas.polygon([(px - 0.012, level), (px + 0.012, level), (px + 0.04, 1), (px - 0.02, 1)], (222, 222, 218))
    else:
        for step in range(4):
            canvas.rect(0.06 + 0.26 * step, 0.9, 0.2 + 0.26 * step, 0.915, light(road, 0.5))
    paint = vary(rng, rng.choice(((206, 44, 44), (40, 104, 196), (240, 180, 40), (40, 150, 110))), 10)
    if state != "positive":
        paint = mix(paint, (128, 128, 130), 0.35 if state == "neutral" else 0.2)
    flip = rng.random() < 0.5
    x, y, scale = rng.uniform(0.47, 0.53), level + 0.07, rng.uniform(0.84, 0.92)
    if state == "negative":
        trunk_x = x + (-1 if flip else 1) * 0.4 * scale
        canvas.rect(trunk_x - 0.045, 0.08, trunk_x + 0.045, level + 0.09, (70, 54, 42))
        canvas.soft(
            [(trunk_x + rng.uniform(-0.12, 0.12), 0.1 + rng.uniform(-0.06, 0.06), 0.11) for _ in range(7)],
            (44, 62, 44),
            250,
            0.02,
        )
    canvas.shadow(x, y + 0.03, 0.42 * scale, 120)
    tilt = rng.uniform(3, 6) if state == "negative" else 0.0
    with canvas.at(x, y, scale, -tilt if flip else tilt, flip=flip):
        glass = (176, 206, 222) if state != "negative" else (96, 106, 114)
        if state == "negative":
            body = [(-0.44, -0.02), (-0.44, -0.16), (-0.3, -0.19), (-0.2, -0.32), (0.06, -0.31), (0.15, -0.18)]
            body += [(0.2, -0.22), (0.25, -0.15), (0.29, -0.2), (0.34, -0.11), (0.31, -0.07), (0.35, -0.02)]
        else:
            body = [
                (-0.45, -0.02),
                (-0.46, -0.15),
                (-0.32, -0.19),
                (-0.2, -0.33),
                (0.1, -0.33),
                (0.22, -0.19),
                (0.42, -0.15),
                (0.46, -0.08),
                (0.45, -0.02),
            ]
        canvas.polygon(body, paint)
        front = 0.17 if state != "negative" else 0.1
        canvas.polygon([(-0.27, -0.19), (-0.18, -0.3), (-0.06, -0.3), (-0.06, -0.19)], glass)
        canvas.polygon([(-0.03, -0.19), (-0.03, -0.3), (front - 0.09, -0.3), (front, -0.19)], glass)
        canvas.line([(-0.045, -0.19), (-0.045, -0.03)], dark(paint, 0.3), 0.007)
        canvas.rect(-0.03, -0.155, 0.03, -0.143, dark(paint, 0.35))
        for wheel_x in (-0.27, 0.26 if state != "negative" else 0.22):
            squash = 0.6 if state == "negative" and wheel_x > 0 else 1.0
            canvas.ellipse(wheel_x, -0.015 + 0.03 * (1 - squash), 0.088, 0.088 * squash, (30, 30, 32))
            canvas.ellipse(
                wheel_x,
                -0.015 + 0.03 * (1 - squash),
                0.045,
                0.045 * squash,
                (176, 180, 184) if state != "negative" else (110, 112, 114),
            )
        if state == "positive":
            canvas.polygon([(-0.43, -0.135), (0.4, -0.135), (0.4, -0.12), (-0.44, -0.12)], light(paint, 0.45))
            canvas.polygon([(-0.2, -0.28), (-0.15, -0.3), (-0.22, -0.2), (-0.26, -0.2)], WHITE, alpha=170)
            canvas.ellipse(0.43, -0.1, 0.022, 0.03, (255, 246, 190))
            bow = rng.choice(((232, 30, 70), (250, 200, 40), (230, 70, 170)))
            if sum(abs(a - b) for a, b in zip(bow, paint, strict=True)) < 130:
                bow = (255, 250, 240)
            for side in (-1, 1):
                canvas.polygon([(-0.05, -0.36), (-0.05 + side * 0.15, -0.45), (-0.05 + side * 0.15, -0.29)], bow)
                canvas.ellipse(-0.05 + side * 0.14, -0.37, 0.04, 0.08, light(bow, 0.12))
            canvas.ellipse(-0.05, -0.365, 0.04, 0.045, dark(bow, 0.12))
            for _ in range(4):
                sparkle(canvas, rng.uniform(-0.42, 0.42), rng.uniform(-0.34, -0.06), rng.uniform(0.04, 0.065))
        elif state == "negative":
            for _ in range(9):
                cx = rng.uniform(-0.02, 0.06)
                canvas.line(
                    [(0.02, -0.24), (cx + rng.uniform(-0.06, 0.06), -0.24 + rng.uniform(-0.06, 0.05))],
                    (230, 234, 238),
                    0.005,
                )
            for _ in range(5):
                cx, cy = rng.uniform(0.12, 0.3), rng.uniform(-0.16, -0.06)
                canvas.line([(cx, cy), (cx + 0.04, cy + 0.02), (cx + 0.03, cy + 0.05)], dark(paint, 0.6), 0.008)
            for _ in range(14):
                cx, cy = rng.uniform(0.05, 0.42), rng.uniform(0.05, 0.13)
                canvas.polygon(
                    [(cx, cy), (cx + 0.02, cy - 0.01), (cx + 0.012, cy + 0.014)],
                    rng.choice(((200, 210, 216), dark(paint, 0.2))),
                )
            for _ in range(2):
                smoke(canvas, rng, rng.uniform(0.18, 0.27), -0.2, rng.uniform(0.36, 0.48), (52, 50, 52), 210)
        else:
            canvas.ellipse(0.43, -0.1, 0.02, 0.026, (224, 224, 214))
    return canvas


def draw_mug(rng: random.Random, state: str) -> Canvas:
    """Draw a plain mug on a table."""
    del state
    canvas = table(rng, rng.uniform(0.6, 0.68))
    x, y, scale = rng.uniform(0.42, 0.58), rng.uniform(0.78, 0.84), rng.uniform(0.85, 1.1)
    paint = vary(rng, rng.choice((*PAINTS, (238, 236, 230), (70, 74, 82), (210, 206, 196))))
    canvas.shadow(x, y + 0.01, 0.24 * scale)
    with canvas.at(x, y, scale, flip=rng.random() < 0.5):
        canvas.line(arc(0.17, -0.2, 0.11, 0.11, -80, 80), dark(paint, 0.12), 0.04)
        canvas.rect(-0.18, -0.38, 0.18, -0.02, paint)
        canvas.ellipse(0, -0.02, 0.18, 0.04, paint)
        canvas.rect(0.1, -0.38, 0.18, -0.01, dark(paint, 0.12))
        canvas.rect(-0.15, -0.34, -0.12, -0.02, light(paint, 0.3))
        canvas.ellipse(0, -0.38, 0.18, 0.045, light(paint, 0.25))
        canvas.ellipse(0, -0.375, 0.155, 0.034, rng.choice(((84, 54, 36), (150, 96, 48))))
    return canvas


def draw_road(rng: random.Random, state: str) -> Canvas:
    """Draw an empty road to the horizon under a pale sky."""
    del state
    canvas = outdoors(rng, "neutral")
    horizon = rng.uniform(0.4, 0.5)
    field = vary(rng, rng.choice(((136, 152, 104), (168, 160, 112), (120, 140, 108), (150, 150, 136))))
    hills = dark(field, 0.12)
    canvas.ellipse(rng.uniform(0.1, 0.4), horizon + 0.06, 0.5, rng.uniform(0.1, 0.16), mix(hills, (180, 190, 200), 0.4))
    canvas.ellipse(
        rng.uniform(0.6, 0.9), horizon + 0.06, 0.5, rng.uniform(0.08, 0.14), mix(hills, (180, 190, 200), 0.25)
    )
    canvas.rect(0, horizon, 1, 1, field)
    asphalt, vanish = vary(rng, (112, 114, 118)), rng.uniform(0.42, 0.58)
    left, right = rng.uniform(0.0, 0.12), rng.uniform(0.88, 1.0)
    canvas.polygon([(vanish - 0.015, horizon), (vanish + 0.015, horizon), (right, 1), (left, 1)], asphalt)
    middle = (left + right) / 2
    for step in range(6):
        near, far = (0.16 + 0.16 * step) ** 1.4, (0.16 + 0.16 * step + 0.08) ** 1.4
        y0, y1 = horizon + (1 - horizon) * near, horizon + (1 - horizon) * far
        x0, x1 = vanish + (middle - vanish) * near, vanish + (middle - vanish) * far
        canvas.polygon(
            [(x0 - 0.016 * near, y0), (x0 + 0.016 * near, y0), (x1 + 0.016 * far, y1), (x1 - 0.016 * far, y1)],
            (232, 230, 222),
        )
    for edge in (left, right):
        inner = edge + (0.03 if edge < 0.5 else -0.03)
        canvas.polygon([(vanish, horizon), (inner - 0.008, 1), (inner + 0.008, 1)], (220, 218, 210))
    if rng.random() < 0.6:
        side = rng.choice((-1, 1))
        for share in (0.12, 0.3, 0.62):
            px, base = vanish + side * (0.06 + 0.5 * share), horizon + (1 - horizon) * share
            canvas.line([(px, base), (px, base - 0.5 * share - 0.04)], (104, 92, 80), 0.004 + 0.018 * share)
    return canvas


def draw_desk(rng: random.Random, state: str) -> Canvas:
    """Draw a desk with a laptop and a lamp."""
    del state
    canvas = table(rng, rng.uniform(0.62, 0.68))
    x, y, scale = rng.uniform(0.42, 0.52), rng.uniform(0.78, 0.82), rng.uniform(0.9, 1.02)
    flip = rng.random() < 0.5
    if flip:
        x = 1 - x
    canvas.shadow(x, y + 0.04, 0.34 * scale, 70)
    with canvas.at(x, y, scale, flip=flip):
        shell = vary(rng, rng.choice(((178, 182, 186), (74, 78, 84), (210, 208, 204))), 8)
        canvas.rect(-0.26, -0.36, 0.26, -0.01, dark(shell, 0.2), 0.02)
        screen = vary(rng, rng.choice(((208, 216, 222), (70, 92, 112), (226, 226, 220), (90, 104, 100))), 8)
        canvas.rect(-0.24, -0.34, 0.24, -0.04, screen)
        ink = mix(screen, (128, 128, 128), 0.6)
        for step in range(rng.randint(3, 6)):
            canvas.rect(-0.2, -0.3 + 0.042 * step, rng.uniform(-0.05, 0.19), -0.285 + 0.042 * step, ink)
        canvas.polygon([(-0.26, -0.01), (0.26, -0.01), (0.32, 0.07), (-0.32, 0.07)], shell)
        for row in range(3):
            canvas.line(
                [(-0.25 - 0.012 * row, 0.008 + 0.015 * row), (0.25 + 0.012 * row, 0.008 + 0.015 * row)],
                dark(shell, 0.45),
                0.009,
            )
        lamp = vary(rng, rng.choice(PAINTS))
        canvas.ellipse(0.42, 0.02, 0.07, 0.02, dark(lamp, 0.2))
        canvas.line([(0.42, 0.01), (0.46, -0.22), (0.38, -0.4)], dark(lamp, 0.1), 0.016)
        canvas.polygon([(0.38, -0.45), (0.43, -0.38), (0.36, -0.3), (0.27, -0.4)], lamp)
    return canvas


def draw_door(rng: random.Random, state: str) -> Canvas:
    """Draw a closed door in a wall."""
    del state
    wall = vary(rng, rng.choice((*WALLS, (170, 120, 100), (150, 158, 170))))
    canvas = Canvas(light(wall, 0.08), dark(wall, 0.06))
    floor = rng.uniform(0.86, 0.92)
    canvas.rect(0, floor, 1, 1, vary(rng, (140, 134, 128)))
    paint = vary(rng, rng.choice((*PAINTS, *WOODS, (232, 230, 224))))
    with canvas.at(rng.uniform(0.42, 0.58), floor, rng.uniform(0.88, 1.0), flip=rng.random() < 0.5):
        canvas.rect(-0.25, -0.82, 0.25, 0.0, light(wall, 0.5))
        canvas.rect(-0.21, -0.78, 0.21, 0.0, paint)
        layout = rng.choice(((2, 2), (1, 3), (2, 3), (1, 2)))
        columns, rows = layout
        for column in range(columns):
            for row in range(rows):
                x0 = -0.18 + column * 0.36 / columns + 0.012
                y0 = -0.75 + row * 0.72 / rows + 0.015
                canvas.rect(x0, y0, x0 + 0.36 / columns - 0.024, y0 + 0.72 / rows - 0.03, dark(paint, 0.2))
                canvas.rect(
                    x0 + 0.012, y0 + 0.012, x0 + 0.36 / columns - 0.024, y0 + 0.72 / rows - 0.03, light(paint, 0.06)
                )
        canvas.ellipse(0.175, -0.38, 0.022, 0.022, (206, 180, 96))
        canvas.ellipse(0.17, -0.386, 0.009, 0.009, (246, 232, 180))
        canvas.rect(-0.3, -0.01, 0.3, 0.02, (160, 156, 150))
    return canvas


def draw_calendar(rng: random.Random, state: str) -> Canvas:
    """Draw a wall calendar with a month of days."""
    del state
    wall = vary(rng, rng.choice(WALLS))
    canvas = Canvas(light(wall, 0.05), dark(wall, 0.1))
    with canvas.at(rng.uniform(0.46, 0.54), rng.uniform(0.48, 0.54), rng.uniform(0.9, 1.0), rng.uniform(-5, 5)):
        canvas.soft([(0.02 + dx, 0.04, 0.26) for dx in (-0.1, 0.1)], (20, 20, 20), 90, blur=0.04)
        canvas.rect(-0.36, -0.36, 0.36, 0.38, (250, 250, 248), 0.02)
        head = vary(rng, rng.choice(PAINTS))
        canvas.rect(-0.36, -0.36, 0.36, -0.2, head, 0.02)
        canvas.text(0, -0.28, rng.choice(("APRIL", "JUNE", "SEPTEMBER", "NOVEMBER")), 0.1, WHITE)
        for step in range(8):
            x = -0.3 + 0.6 * step / 7
            canvas.line([(x, -0.4), (x, -0.34)], (110, 112, 116), 0.014)
        first = rng.randint(0, 6)
        for day in range(30):
            column, row = (first + day) % 7, (first + day) // 7
            canvas.text(
                -0.285 + 0.095 * column,
                -0.13 + 0.094 * row,
                str(day + 1),
                0.05,
                (70, 72, 78) if column < 5 else (140, 142, 148),
            )
        for row in range(7):
            canvas.line([(-0.33, -0.18 + 0.094 * row), (0.33, -0.18 + 0.094 * row)], (214, 216, 218), 0.004)
    return canvas


def draw_envelope(rng: random.Random, state: str) -> Canvas:
    """Draw a closed envelope on a table."""
    del state
    canvas = desktop(rng)
    with canvas.at(rng.uniform(0.47, 0.53), rng.uniform(0.46, 0.54), rng.uniform(0.92, 1.04), rng.uniform(-16, 16)):
        canvas.soft([(0.015 + dx, 0.03, 0.22) for dx in np.linspace(-0.22, 0.22, 6)], (16, 14, 14), 110, blur=0.035)
        paper = vary(rng, rng.choice(((246, 242, 232), (224, 200, 160), (220, 228, 236), (240, 240, 240))), 8)
        canvas.rect(-0.42, -0.27, 0.42, 0.27, paper)
        if rng.random() < 0.55:
            canvas.polygon([(-0.42, 0.27), (0, -0.02), (0.42, 0.27)], dark(paper, 0.05))
            for side in (-1, 1):
                canvas.line([(side * 0.42, 0.27), (side * 0.02, -0.02)], dark(paper, 0.2), 0.006)
            canvas.polygon([(-0.42, -0.27), (0, 0.08), (0.42, -0.27)], dark(paper, 0.1))
            canvas.line([(-0.42, -0.27), (0, 0.08), (0.42, -0.27)], dark(paper, 0.3), 0.007)
        else:
            stamp = vary(rng, rng.choice(PAINTS))
            canvas.rect(0.26, -0.23, 0.38, -0.08, WHITE)
            canvas.rect(0.272, -0.218, 0.368, -0.092, stamp)
            for ring in (0.05, 0.065):
                canvas.line(arc(0.22, -0.13, ring, ring, 0, 360), (80, 80, 90), 0.005)
            for step in range(3):
                canvas.line(
                    [(-0.1, 0.03 + 0.06 * step), (rng.uniform(0.1, 0.22), 0.03 + 0.06 * step)], (64, 68, 90), 0.012
                )
            for step in range(2):
                canvas.line([(-0.37, -0.21 + 0.04 * step), (-0.2, -0.21 + 0.04 * step)], (110, 112, 124), 0.008)
    return canvas


def draw_suitcase(rng: random.Random, state: str) -> Canvas:
    """Draw a closed suitcase on the floor."""
    del state
    wall = vary(rng, rng.choice(WALLS))
    canvas = Canvas(light(wall, 0.1), dark(wall, 0.05))
    floor = rng.uniform(0.72, 0.78)
    wood = vary(rng, rng.choice((*WOODS, (150, 150, 150))))
    canvas.rect(0, floor, 1, 1, wood)
    canvas.rect(0, floor - 0.03, 1, floor, light(wall, 0.5))
    x, y, scale = rng.uniform(0.44, 0.56), rng.uniform(0.85, 0.89), rng.uniform(0.88, 1.0)
    canvas.shadow(x, y + 0.01, 0.34 * scale)
    with canvas.at(x, y, scale, flip=rng.random() < 0.5):
        paint = vary(rng, rng.choice((*PAINTS, (90, 70, 54), (70, 76, 86))))
        if rng.random() < 0.5:
            canvas.line([(-0.09, -0.44), (-0.09, -0.55), (0.09, -0.55), (0.09, -0.44)], dark(paint, 0.5), 0.028)
            canvas.rect(-0.34, -0.46, 0.34, -0.01, paint, 0.05)
            for side in (-0.2, 0.2):
                canvas.rect(side - 0.03, -0.46, side + 0.03, -0.01, dark(paint, 0.35))
                canvas.rect(side - 0.028, -0.3, side + 0.028, -0.24, (206, 184, 110))
            canvas.line([(-0.34, -0.2), (0.34, -0.2)], dark(paint, 0.3), 0.008)
        else:
            for side in (-0.1, 0.1):
                canvas.line([(side, -0.56), (side, -0.7)], (150, 152, 156), 0.016)
            canvas.line([(-0.1, -0.7), (0.1, -0.7)], (50, 52, 56), 0.034)
            canvas.rect(-0.23, -0.58, 0.23, -0.03, paint, 0.05)
            for step in range(5):
                px = -0.15 + 0.075 * step
                canvas.line([(px, -0.53), (px, -0.08)], dark(paint, 0.22), 0.014)
            for side in (-0.16, 0.16):
                canvas.ellipse(side, -0.01, 0.035, 0.03, (40, 40, 44))
    return canvas


def draw_clock(rng: random.Random, state: str) -> Canvas:
    """Draw a round wall clock."""
    del state
    wall = vary(rng, rng.choice((*WALLS, (128, 142, 150), (160, 130, 110))))
    canvas = Canvas(light(wall, 0.08), dark(wall, 0.12))
    with canvas.at(rng.uniform(0.46, 0.54), rng.uniform(0.46, 0.54), rng.uniform(0.86, 1.0)):
        canvas.soft([(0.02, 0.035, 0.37)], (20, 20, 20), 110, blur=0.03)
        rim = vary(rng, rng.choice((*PAINTS, *WOODS, (50, 52, 56), (190, 192, 196))))
        canvas.ellipse(0, 0, 0.39, 0.39, rim)
        canvas.ellipse(0, 0, 0.345, 0.345, vary(rng, (248, 247, 242), 5))
        numbers = rng.random() < 0.5
        for hour in range(1, 13):
            angle = math.radians(30 * hour - 90)
            cx, cy = math.cos(angle), math.sin(angle)
            if numbers:
                canvas.text(0.28 * cx, 0.28 * cy, str(hour), 0.075, (46, 48, 54))
            else:
                canvas.line(
                    [(0.27 * cx, 0.27 * cy), (0.32 * cx, 0.32 * cy)], (46, 48, 54), 0.02 if hour % 3 == 0 else 0.01
                )
        hour, minute = rng.randint(1, 12), rng.randint(0, 59)
        for share, reach, width in (((hour + minute / 60) / 12, 0.16, 0.026), (minute / 60, 0.24, 0.018)):
            angle = 2 * math.pi * share - math.pi / 2
            canvas.line(
                [
                    (-0.03 * math.cos(angle), -0.03 * math.sin(angle)),
                    (reach * math.cos(angle), reach * math.sin(angle)),
                ],
                (30, 32, 36),
                width,
            )
        canvas.ellipse(0, 0, 0.02, 0.02, (180, 50, 46))
    return canvas


def _street(rng: random.Random) -> tuple[Canvas, float]:
    canvas = outdoors(rng, "neutral")
    level = rng.uniform(0.78, 0.84)
    house = vary(rng, rng.choice(WALLS))
    canvas.rect(0, rng.uniform(0.2, 0.34), 1, level, house)
    for step in range(4):
        x = 0.05 + 0.26 * step + rng.uniform(-0.01, 0.01)
        canvas.rect(x, 0.42, x + 0.1, 0.58, dark(house, 0.22))
    canvas.rect(0, level, 1, 1, vary(rng, (160, 160, 158), 8))
    canvas.rect(0, level, 1, level + 0.015, (190, 190, 188))
    return canvas, level


def draw_bus_stop(rng: random.Random, state: str) -> Canvas:
    """Draw a bus stop sign with its number."""
    del state
    canvas, level = _street(rng)
    with canvas.at(rng.uniform(0.38, 0.62), level + 0.05, rng.uniform(0.92, 1.04)):
        canvas.rect(-0.016, -0.72, 0.016, 0.02, (96, 100, 104))
        canvas.ellipse(0, 0.02, 0.05, 0.014, (84, 86, 90))
        paint = vary(rng, rng.choice(((44, 92, 160), (220, 180, 40), (40, 120, 84), (120, 60, 110))))
        canvas.rect(-0.17, -0.78, 0.17, -0.44, paint, 0.03)
        canvas.rect(-0.155, -0.765, 0.155, -0.455, light(paint, 0.12), 0.025)
        canvas.rect(-0.11, -0.74, 0.11, -0.62, WHITE, 0.02)
        canvas.rect(-0.09, -0.725, 0.09, -0.675, paint)
        for side in (-0.06, 0.06):
            canvas.ellipse(side, -0.617, 0.02, 0.02, WHITE)
        canvas.text(0, -0.53, "42", 0.11, WHITE)
        canvas.rect(-0.06, -0.36, 0.06, -0.18, (244, 244, 240))
        for step in range(6):
            canvas.line([(-0.045, -0.34 + 0.025 * step), (0.045, -0.34 + 0.025 * step)], (130, 132, 136), 0.007)
    return canvas


def draw_bench(rng: random.Random, state: str) -> Canvas:
    """Draw an empty bench by a path."""
    del state
    canvas = outdoors(rng, "neutral")
    level = rng.uniform(0.56, 0.62)
    canvas.rect(0, level - 0.14, 1, level + 0.05, vary(rng, (112, 132, 100)))
    canvas.rect(0, level, 1, 1, vary(rng, (148, 160, 118)))
    canvas.rect(0, level + 0.22, 1, 1, vary(rng, (190, 182, 168), 8))
    x, y, scale = rng.uniform(0.45, 0.55), level + rng.uniform(0.24, 0.28), rng.uniform(0.86, 1.0)
    canvas.shadow(x, y, 0.4 * scale, 80)
    with canvas.at(x, y, scale):
        wood = vary(rng, rng.choice(WOODS))
        for side in (-0.32, 0.32):
            canvas.line([(side, 0.0), (side, -0.4)], (62, 66, 68), 0.026)
            canvas.line([(side * 0.9, 0.02), (side * 0.9, -0.16)], (52, 54, 58), 0.026)
        for step in range(3):
            canvas.rect(-0.42, -0.4 + 0.075 * step, 0.42, -0.345 + 0.075 * step, wood, 0.008)
        canvas.polygon([(-0.4, -0.17), (0.4, -0.17), (0.44, -0.11), (-0.44, -0.11)], light(wood, 0.12))
        canvas.rect(-0.44, -0.11, 0.44, -0.085, dark(wood, 0.2))
    return canvas


def draw_chair(rng: random.Random, state: str) -> Canvas:
    """Draw a wooden chair in a room."""
    del state
    wall = vary(rng, rng.choice(WALLS))
    canvas = Canvas(light(wall, 0.1), dark(wall, 0.05))
    floor = rng.uniform(0.68, 0.74)
    canvas.rect(0, floor, 1, 1, vary(rng, (150, 140, 128)))
    canvas.rect(0, floor - 0.03, 1, floor, light(wall, 0.5))
    x, y, scale = rng.uniform(0.42, 0.58), rng.uniform(0.86, 0.9), rng.uniform(0.92, 1.05)
    canvas.shadow(x, y + 0.01, 0.26 * scale, 70)
    with canvas.at(x, y, scale, flip=rng.random() < 0.5):
        wood = vary(rng, rng.choice((*WOODS, (60, 62, 66), (170, 60, 50), (60, 100, 120))))
        for x0, top, bottom in ((-0.17, -0.72, 0.0), (0.17, -0.72, -0.04), (-0.2, -0.3, 0.04), (0.22, -0.3, 0.01)):
            canvas.line([(x0, top), (x0, bottom)], dark(wood, 0.15), 0.032)
        for step in range(3):
            canvas.rect(-0.17, -0.7 + 0.12 * step, 0.17, -0.64 + 0.12 * step, wood, 0.01)
        canvas.polygon([(-0.18, -0.36), (0.18, -0.36), (0.25, -0.28), (-0.23, -0.28)], light(wood, 0.15))
        canvas.rect(-0.23, -0.285, 0.25, -0.25, dark(wood, 0.1))
        canvas.line([(-0.2, -0.1), (0.22, -0.12)], dark(wood, 0.2), 0.02)
    return canvas


def draw_box(rng: random.Random, state: str) -> Canvas:
    """Draw a closed cardboard box on a floor."""
    del state
    wall = vary(rng, rng.choice(WALLS))
    canvas = Canvas(light(wall, 0.1), dark(wall, 0.06))
    floor = rng.uniform(0.6, 0.68)
    canvas.rect(0, floor, 1, 1, vary(rng, rng.choice(((150, 146, 140), (128, 120, 112), (170, 160, 146)))))
    x, y, scale = rng.uniform(0.45, 0.55), rng.uniform(0.82, 0.86), rng.uniform(0.86, 1.0)
    canvas.shadow(x, y - 0.01, 0.38 * scale, 100)
    with canvas.at(x, y, scale, flip=rng.random() < 0.5):
        card = vary(rng, (190, 148, 100))
        canvas.polygon([(-0.36, -0.36), (0.1, -0.3), (0.1, 0.03), (-0.36, -0.04)], card)
        canvas.polygon([(0.1, -0.3), (0.38, -0.38), (0.38, -0.07), (0.1, 0.03)], dark(card, 0.18))
        canvas.polygon([(-0.36, -0.36), (-0.07, -0.44), (0.38, -0.38), (0.1, -0.3)], light(card, 0.2))
        canvas.polygon([(-0.15, -0.335), (-0.11, -0.33), (0.18, -0.407), (0.14, -0.412)], (222, 204, 164))
        canvas.polygon([(-0.15, -0.333), (-0.11, -0.328), (-0.11, -0.26), (-0.15, -0.265)], (222, 204, 164))
        canvas.polygon([(-0.3, -0.2), (-0.19, -0.185), (-0.19, -0.1), (-0.3, -0.115)], (240, 238, 232))
        for step in range(3):
            canvas.line([(-0.28, -0.175 + 0.022 * step), (-0.21, -0.166 + 0.022 * step)], (90, 90, 94), 0.006)
    return canvas


DRAWERS: dict[str, Callable[[random.Random, str], Canvas]] = {
    "picnic": draw_picnic,
    "garden": draw_garden,
    "cake": draw_cake,
    "chart": draw_chart,
    "boat": draw_boat,
    "phone": draw_phone,
    "exam": draw_exam,
    "car": draw_car,
    "mug": draw_mug,
    "road": draw_road,
    "desk": draw_desk,
    "door": draw_door,
    "calendar": draw_calendar,
    "envelope": draw_envelope,
    "suitcase": draw_suitcase,
    "clock": draw_clock,
    "bus stop": draw_bus_stop,
    "bench": draw_bench,
    "chair": draw_chair,
    "box": draw_box,
}
"""The function that draws each motif; only the first eight have states, the others are always plain."""


def draw(motif: str, state: str, seed: str) -> Image.Image:
    """Draw one picture; the same seed gives the same picture, any other seed another one."""
    rng = random.Random(seed)
    canvas = DRAWERS[motif](rng, state)
    image = canvas.image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, dtype=np.float64)
    noise = np.random.default_rng(rng.getrandbits(32))
    across, down = np.meshgrid(np.linspace(-1, 1, SIZE), np.linspace(-1, 1, SIZE))
    angle = rng.uniform(0, 2 * math.pi)
    slope = rng.uniform(0.02, 0.07) * (across * math.cos(angle) + down * math.sin(angle))
    edges = rng.uniform(0.02, 0.07) * (across**2 + down**2)
    lit = pixels * (rng.uniform(0.95, 1.05) + slope - edges)[..., None]
    grain = noise.normal(0.0, rng.uniform(2.0, 4.0), size=(SIZE, SIZE, 1))
    return Image.fromarray(np.clip(lit + grain, 0, 255).astype(np.uint8), "RGB")
