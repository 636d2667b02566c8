"""Prints the tables of levels.cuh: how the levels of nf4 and fp4 are integers.

Nibbles are stored as other ones, so that what a kernel looks up is cheap: level ·
unit = 32·high + low, where low depends on three bits of the nibble alone, and
high has the same sign whatever the fourth bit is. Sixteen levels make eight
pairs, four of numbers below zero (and 0 itself) and four of the others; unit
and pairs are those with the least error over blocks of normal numbers.

Needs numpy.
"""
import numpy as np

K = 32
nf4 = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
       -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
       0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0]
fp4 = [0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4, -0.0, -1 / 192, -2 / 3, -1, -1 / 3, -1 / 2, -1 / 6, -1 / 4]

x = np.random.default_rng(0).standard_normal((40000, 64))
x = (x / np.abs(x).max(1, keepdims=True)).ravel()


def weights(levels):
    """How often each level is the nearest."""
    order = np.argsort(levels, kind="stable")
    s = levels[order]
    count = np.bincount(np.searchsorted((s[1:] + s[:-1]) / 2, x), minlength=16)
    w = np.zeros(16)
    w[order] = count / x.size
    return w


def pairs(r, w):
    """Of eight residues modulo K the best pairs, each with its low part."""
    order, best = np.argsort(r), None
    around = lambda v: (v + K / 2) % K - K / 2
    for first in (0, 1):
        cost, found = 0, []
        for a in range(first, 8 + first, 2):
            i, j = order[a % 8], order[(a + 1) % 8]
            mid = r[i] + around(r[j] - r[i]) * w[j] / (w[i] + w[j])
            c, low = min((w[i] * around(r[i] - low) ** 2 + w[j] * around(r[j] - low) ** 2, low) for low in (np.floor(mid), np.ceil(mid)))
            cost += c
            found.append((i, j, int(low)))
        if best is None or cost < best[0]:
            best = cost, found
    return best


def search(levels, below):
    """The error, the unit, and for each nibble that is stored (level, high, low)."""
    levels, w = np.array(levels), weights(np.array(levels))
    groups = below, [i for i in range(16) if i not in below]
    norm, best = (w * levels**2).sum(), None
    for unit in np.arange(100 * K, 115 * K, 0.125):
        parts = [pairs(levels[g] * unit % K, w[g] + 1e-6) for g in groups]
        e = (parts[0][0] + parts[1][0]) / unit**2 / norm
        if best is None or e < best[0]:
            best = e, unit, [(g[i], g[j], low) for g, p in zip(groups, parts) for i, j, low in p[1]]
    e, unit, found = best
    stored = [None] * 16
    for p, (i, j, low) in enumerate(found):
        neg = i in below
        # high of 0 and what is below is -1 and less, of the others 0 and more
        lows = [l for l in (low - K, low, low + K) if all((round((levels[n] * unit - l) / K) < 0) == neg for n in (i, j))]
        low = min(lows, key=abs)
        for b, n in ((0, i), (1, j)):
            stored[p + 8 * b] = n, round((levels[n] * unit - low) / K), low
    return e, unit, stored


def words(b):
    return ", ".join("0x" + "".join("%02x" % (v & 255) for v in reversed(b[i : i + 4])) for i in range(0, len(b), 4))


for name, levels, below in ("nf4", nf4, list(range(8))), ("fp4", fp4, list(range(8, 16))):
    e, unit, stored = search(levels, below)
    of = [s[0] for s in stored]
    to = [of.index(n) for n in range(16)]
    small = [~stored[p + 8][1] for p in range(8)]  # what bit 3 turns over
    halves = [np.float16(-0.0 if levels[n] == 0 and n in below else levels[n]).view(np.uint16) for n in of]
    whole = [round(v * unit) for v in levels]
    high = [(v + K // 2) // K for v in whole]
    print(f"// {name}: error {e:.1e}")
    print("unit    ", unit)
    print("to      ", words(to))
    print("of      ", words(of))
    print("upper   ", words(small))
    print("turn    ", words([small[p] ^ stored[p][1] for p in range(8)]))
    print("low     ", words([stored[p][2] for p in range(8)]))
    print("f16 high", words([h >> 8 for h in halves]))
    print("f16 low ", words([h & 255 for h in halves]))
    print("raw high", words(high))
    print("raw low ", words([v - K * h for v, h in zip(whole, high)]))
    print("levels  ", ", ".join("%rf" % float("%.9g" % np.float32(levels[n])) for n in of))
