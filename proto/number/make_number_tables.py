#!/usr/bin/env python3
"""Writes proto/number/number_tables.c, after checking everything that the C code assumes about it.

    proto/number/make_number_tables.py > proto/number/number_tables.c

The powers. Entry q is floor(10^q / 2^(e - 127)), where e = floor(log2(10^q)): the first 128 bits of
10^q, truncated. The range is exactly what is needed. Reading multiplies w < 2^64 by 10^q; the
product is below half the smallest double, 2^-1075, for q < -342, and above the largest for q > 308.
Writing multiplies by 10^-k for k = floor(log10(2^q)) of all doubles, from 10^-292 to 10^324.

The near powers are the doubles nearest to 10^q. The range covers what reading a float needs: the
digits are below 2^63.

The logarithms. floor(q log2(10)) and floor(q log10(2)) are computed with multipliers of few bits.
check_logarithms() compares them with the exact integers over the range that occurs.

Writing. number_write.c computes x 2^q 10^-k, for x up to 2^(p+2) where p is the precision, as
(x << h) * g >> 128, where g is the entry plus one. It sets the lowest bit of the result if any of
the 64 bits after the point is set. (float: >> 64, the upper half of the entry plus one, 32 bits.)
g is too large by at most one and x << h < 2^59 (2^30), so the product is too large by less than
2^-69 (2^-34). Near an odd integer this changes nothing, because the lowest bit is set anyway. So
the result is right if no such number, except integers, lies within 2^-64 (2^-32) above or 2^-69
(2^-34) below an even integer. clearances() computes these distances, for halves. The smallest
fractional part of x a, over all x <= n, occurs at the denominator of a lower semiconvergent of a,
and the smallest distance to the integer above at that of an upper semiconvergent (Khinchin,
Continued fractions, section 6).
"""
from fractions import Fraction

MIN, MAX = -342, 324
NEAR_MIN, NEAR_MAX = -64, 40


def log2_of(fraction):
    """Returns floor(log2(fraction))."""
    e = fraction.numerator.bit_length() - fraction.denominator.bit_length()
    return e if Fraction(2) ** e <= fraction else e - 1


def log10_of(fraction):
    """Returns floor(log10(fraction))."""
    k = int(log2_of(fraction) * 0.30103)
    while Fraction(10) ** (k + 1) <= fraction:
        k += 1
    while Fraction(10) ** k > fraction:
        k -= 1
    return k


def leading_bits(q):
    power = Fraction(10) ** q
    return int(power / Fraction(2) ** (log2_of(power) - 127))


def clearances(a, n):
    """Returns the smallest positive distances of x a from the integers below and above, for
    1 <= x <= n."""
    if a.denominator <= n:
        return Fraction(1, a.denominator), Fraction(1, a.denominator)
    num, den = a.numerator, a.denominator
    # low < a < high are neighbors in the Stern-Brocot tree.
    low_p, low_q, high_p, high_q = num // den, 1, 1, 0
    while True:
        low_gap, high_gap = num * low_q - den * low_p, den * high_p - num * high_q
        steps = low_gap // high_gap
        if high_q:
            steps = min(steps, (n - low_q) // high_q)
        low_p, low_q = low_p + steps * high_p, low_q + steps * high_q
        low_gap = num * low_q - den * low_p
        more = min(high_gap // low_gap, (n - high_q) // low_q)
        high_p, high_q = high_p + more * low_p, high_q + more * low_q
        if steps == 0 and more == 0:
            return Fraction(low_gap, den), Fraction(den * high_p - num * high_q, den)


def check_logarithms():
    for q in range(MIN, MAX + 1):
        assert q * 1741647 >> 19 == log2_of(Fraction(10) ** q)
    for q in range(-1074, 972):
        assert q * 1262611 >> 22 == log10_of(Fraction(2) ** q)
        assert (q * 1262611 - 524031) >> 22 == log10_of(Fraction(2) ** q * 3 / 4)


def check_table(table):
    for q, entry in table.items():
        assert entry.bit_length() == 128
        # The reader's test for a power that fits in the upper half.
        assert (entry % 2**64 == 0) == (0 <= q <= 27)
        # Adding one does not carry.
        assert entry % 2**64 != 2**64 - 1 and entry >> 64 != 2**64 - 1


def check_writing(precision, q_min, q_max, above, below):
    for q in range(q_min, q_max + 1):
        k = q * 1262611 >> 22
        a = Fraction(2) ** q / Fraction(10) ** k
        assert 1 <= q + (-k * 1741647 >> 19) + 1 <= 4
        over, under = clearances(a / 2, 2 ** (precision + 2))
        assert 2 * over >= above and 2 * under > below
        # The neighbor below a power of two is nearer, and k may be smaller.
        k = (q * 1262611 - 524031) >> 22
        assert 1 <= q + (-k * 1741647 >> 19) + 1 <= 4
        for x in range(2 ** (precision + 1) - 1, 2 ** (precision + 1) + 3):
            rest = x * Fraction(2) ** q / Fraction(10) ** k % 2
            assert rest == 0 or (rest >= above and 2 - rest > below)


def main():
    table = {q: leading_bits(q) for q in range(MIN, MAX + 1)}
    check_logarithms()
    check_table(table)
    check_writing(53, -1074, 971, Fraction(1, 2**64), Fraction(1, 2**69))
    check_writing(24, -149, 104, Fraction(1, 2**32), Fraction(1, 2**34))
    print("/* Made by make_number_tables.py; do not edit. */")
    print('#include "number/number_tables.h"\n')
    print("const uint64_t number_integer_powers[NUMBER_INTEGER_POWERS] = {")
    for n in range(20):
        print(f"    {10**n}u,")
    print("};\n")
    print("const double number_near_powers[2][NUMBER_NEAR_MAX - NUMBER_NEAR_MIN + 1] = {")
    for sign in (1, -1):
        print("    {")
        for q in range(NEAR_MIN, NEAR_MAX + 1):
            print(f"        {float(sign * Fraction(10) ** q).hex()}, /* {sign}e{q} */")
        print("    },")
    print("};\n")
    print("const struct number_power number_powers[NUMBER_POWER_MAX - NUMBER_POWER_MIN + 1] = {")
    for q, entry in table.items():
        print(f"    {{0x{entry >> 64:016x}, 0x{entry % 2**64:016x}}}, /* 1e{q} */")
    print("};")


main()
