"""Prints the tables of levels.cuh: how the levels of nf4 and fp4 are integers.

Nibbles are stored as other ones, so that what a kernel looks up is cheap: level ·
unit = by · wide + per · narrow, where wide depends on three bits of the nibble
alone, and narrow is 0 or -1 where the fourth is set: the sign of the byte that it
is where the fourth is clear. So sixteen levels make eight pairs: one of each has
wide alone, the other both. unit, by, per and pairs are those with the least error
over blocks of normal numbers.

Needs numpy, and a minute.
"""
from functools import cache
import numpy as np

nf4 = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
       -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
       0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0]
fp4 = [0.0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4, -0.0, -1 / 192, -2 / 3, -1, -1 / 3, -1 / 2, -1 / 6, -1 / 4]

# 32 activations of 15 bits times levels stay below 2^31
MOST = 4128
K = 32  # what a high byte of raw blocks counts

x = np.random.default_rng(0).standard_normal((40000, 64))
x = (x / np.abs(x).max(1, keepdims=True)).ravel()


def weights(levels):
    """What an error of each level counts: how often it is the nearest, by their square mean."""
    order = np.argsort(levels, kind="stable")
    s = levels[order]
    count = np.bincount(np.searchsorted((s[1:] + s[:-1]) / 2, x), minlength=16)
    w = np.zeros(16)
    w[order] = count / x.size
    return w / (w * levels**2).sum()


def pairs(levels, w, by, per, units):
    """errors (units, 16, 16) of a pair, the first with wide alone, and its wide and narrow."""
    best = None
    for below in (0, 1):  # whether narrow is below zero
        wide = np.rint((levels * units[:, None] + per * below) / by)
        alone = w * ((by * wide - per * below) / units[:, None] - levels) ** 2 + 1e9 * ((wide < -128) | (wide > 127))
        wanted = (levels * units[:, None, None] - by * wide[:, :, None]) / per
        narrow = np.clip(np.rint(wanted), -128 if below else 0, -1 if below else 127)
        e = alone[:, :, None] + w * ((narrow - wanted) * per / units[:, None, None]) ** 2
        wide = np.broadcast_to(wide[:, :, None], e.shape)
        if best is None:
            best = e, wide, narrow
        else:
            better = e < best[0]
            best = tuple(np.where(better, a, b) for a, b in zip((e, wide, narrow), best))
    best[0][:, range(16), range(16)] = 1e9
    return best


def match(e):
    """The eight pairs with the least error in all."""

    @cache
    def rest(done):
        if done == 0xFFFF:
            return 0.0, ()
        i = next(i for i in range(16) if not done >> i & 1)
        found = []
        for j in range(i + 1, 16):
            if not done >> j & 1:
                cost, more = rest(done | 1 << i | 1 << j)
                pair = (i, j) if e[i, j] <= e[j, i] else (j, i)
                found.append((e[pair] + cost, (pair,) + more))
        return min(found)

    return rest(0)


def search(levels, factors, units):
    """The error, unit, by, per, and for each nibble that is stored (level, wide, narrow)."""
    levels = np.array(levels)
    w, best = weights(levels), (np.inf,)
    for by, per in factors:
        u = units[(units / by < 260) & (units / per > 100)]
        for part in np.split(u, range(1000, len(u), 1000)):
            if len(part) == 0:
                continue
            e, wide, narrow = pairs(levels, w, by, per, part)
            least = np.minimum(e.min(1), e.min(2)).sum(1) / 2  # no pairs have less
            for i in np.argsort(least):
                if least[i] >= best[0]:
                    break
                cost, found = match(e[i])
                if cost < best[0]:
                    best = cost, part[i], by, per, [(m, n, int(wide[i, m, n]), int(narrow[i, m, n])) for m, n in found]
    cost, unit, by, per, found = best
    stored = [(n, a, b) for m, n, a, b in found] + [(m, a, -1 if b < 0 else 0) for m, n, a, b in found]
    return cost, unit, by, per, stored


def words(b):
    return ", ".join("0x" + "".join("%02x" % (v & 255) for v in reversed(b[i : i + 4])) for i in range(0, len(b), 4))


ratios = [(20, 9)]  # the best of all of numbers up to 50
for name, levels, factors, units, raw in ("nf4", nf4, ratios, np.arange(1000, MOST, 0.125), 3657.5), ("fp4", fp4, [(16, 1)], np.array([192.0]), 3072):
    e, unit, by, per, stored = search(levels, factors, units)
    of = [s[0] for s in stored]
    to = [of.index(n) for n in range(16)]
    halves = [np.float16(levels[n]).view(np.uint16) for n in of]
    whole = [round(v * raw) for v in levels]
    high = [(v + K // 2) // K for v in whole]
    print(f"// {name}: error {e:.1e}")
    print("unit    ", unit, "by", by, "per", per)
    print("to      ", words(to))
    print("of      ", words(of))
    print("wide    ", words([s[1] for s in stored[:8]]))
    print("narrow  ", words([s[2] for s in stored[:8]]))
    print("f16 high", words([h >> 8 for h in halves]))
    print("f16 low ", words([h & 255 for h in halves]))
    print("raw high", words(high))
    print("raw low ", words([v - K * h for v, h in zip(whole, high)]))
    print("levels  ", ", ".join("%rf" % float("%.9g" % np.float32(levels[n])) for n in of))
