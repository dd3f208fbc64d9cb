"""Products of a row with 64 queries at once, their parts kept in registers.

A word of 32 bits holds one component of two queries in bfloat16: read as a float it is
the first query's, the bits of the second one being noise below its last digit; shifted
by 16 it is the second's. So half the bytes come from the cache.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sksparse_rec._numerics.compiling import compile_with

# Words of a component, and what a processor multiplies at once.
WORDS, WIDTH = 32, 16
LANES = 2 * WORDS
# What is read as a float is never smaller, as tiny numbers slow some processors down.
FLOOR = np.uint32((127 - 60) << 7)

_compile = compile_with()
_INT, _LONG, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()
_FLOATS, _INTS = ir.VectorType(_FLOAT, WIDTH), ir.VectorType(_INT, WIDTH)
# Sums may be reordered: their error is bounded, and decided on elsewhere.
_FLAGS = ("contract", "nsz", "reassoc")


@intrinsic
def multiply_row(typing_context, columns, start, values, n, words, limits, products):
    """``products[l] = Σ_j values[j] × words[columns[start + j]], lane l``, j < n.

    Returns the lanes whose product reaches its limit, as the bits of a uint64.
    ``words`` is (n_components, WORDS) of uint32, contiguous; ``values``, ``limits`` and
    ``products`` (LANES,) are float32. A column out of range is taken for the last.
    """
    signature = types.uint64(
        columns, types.int64, values, types.int64, words, limits, products
    )

    def generate(context, builder, signature, arguments):
        columns, values, words, limits, products = (
            context.make_array(signature.args[i])(context, builder, arguments[i]).data
            for i in (0, 2, 4, 5, 6)
        )
        start, n = arguments[1], arguments[3]
        shape = context.make_array(signature.args[4])(context, builder, arguments[4])
        beyond = builder.extract_value(shape.shape, 0)
        last = builder.sub(beyond, _LONG(1))
        # Two sums of each lane hide the latency of an addition.
        sums = [
            [cgutils.alloca_once_value(builder, _FLOATS(None)) for _ in range(4)]
            for _ in range(2)
        ]

        def step(j, sums):
            column = builder.load(builder.gep(columns, [builder.add(start, j)]))
            # A file may say anything; a negative column is a huge one here.
            column = builder.zext(column, _LONG)
            is_inside = builder.icmp_unsigned("<", column, beyond)
            column = builder.select(is_inside, column, last)
            word = builder.gep(words, [builder.mul(column, _LONG(WORDS))])
            value = _broadcast(builder, builder.load(builder.gep(values, [j])))
            for half in range(2):
                first = _load(builder, word, half * WIDTH)
                bits = builder.bitcast(first, _INTS)
                second = builder.shl(bits, _INTS([16] * WIDTH))
                second = builder.bitcast(second, _FLOATS)
                _add_product(builder, sums[half], value, first)
                _add_product(builder, sums[2 + half], value, second)

        even = builder.and_(n, _LONG(-2))
        with cgutils.for_range_slice(builder, _LONG(0), even, _LONG(2)) as (j, _):
            step(j, sums[0])
            step(builder.add(j, _LONG(1)), sums[1])
        with cgutils.for_range_slice(builder, even, n, _LONG(1)) as (j, _):
            step(j, sums[0])
        mask = _LONG(0)
        for place in range(4):
            total = builder.fadd(*(builder.load(s[place]) for s in sums), flags=_FLAGS)
            target = builder.gep(products, [_LONG(place * WIDTH)])
            target = builder.bitcast(target, _FLOATS.as_pointer())
            builder.store(total, target, align=4)
            limit = _load(builder, limits, place * WIDTH)
            reached = builder.fcmp_ordered(">=", total, limit)
            reached = builder.bitcast(reached, ir.IntType(WIDTH))
            reached = builder.shl(builder.zext(reached, _LONG), _LONG(place * WIDTH))
            mask = builder.or_(mask, reached)
        return mask

    return signature, generate


@intrinsic
def lowest_bit(typing_context, mask):
    """Return the place of the lowest bit that is set."""
    signature = types.int64(types.uint64)

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return signature, generate


def _load(builder, pointer, offset):
    pointer = builder.gep(pointer, [_LONG(offset)])
    return builder.load(builder.bitcast(pointer, _FLOATS.as_pointer()), align=4)


def _broadcast(builder, value):
    undefined = _FLOATS(ir.Undefined)
    vector = builder.insert_element(undefined, value, _INT(0))
    return builder.shuffle_vector(vector, undefined, _INTS(None))


def _add_product(builder, total, value, factor):
    product = builder.fmul(value, factor, flags=_FLAGS)
    builder.store(builder.fadd(builder.load(total), product, flags=_FLAGS), total)


@_compile
def pack(queries, scales, words, errors, lengths):
    """Write queries times their scales into words, at most LANES of them.

    ``errors`` get the length of what rounding took from each, and ``lengths`` their
    own, both in scaled units.
    """
    n_queries = len(queries)
    no_bits = np.uint32(0)
    for lane in range(min(WORDS, n_queries)):
        other = lane + WORDS
        has_other = other < n_queries
        for c in range(words.shape[0]):
            low = no_bits
            if has_other:
                x = queries[other, c] * scales[other]
                low = _rounded(np.float32(x))
                shifted = np.uint32(low << np.uint32(16))
                errors[other] += (
                    x - np.float64(np.uint32(shifted).view(np.float32))
                ) ** 2
                lengths[other] += x * x
            x = queries[lane, c] * scales[lane]
            word = _nearest_above(np.float32(x), low)
            kept = np.uint32(word).view(np.float32)
            errors[lane] += (x - np.float64(kept)) ** 2
            lengths[lane] += x * x
            words[c, lane] = word
    words[:, n_queries:] = no_bits
    for query in range(n_queries):
        errors[query] = np.sqrt(errors[query])
        lengths[query] = np.sqrt(lengths[query])


@_compile
def _rounded(x):
    """Return the upper half of the bits of a float, rounded to the nearest."""
    bits = np.float32(x).view(np.uint32)
    return np.uint32((bits + np.uint32(0x8000)) >> np.uint32(16))


@_compile
def _nearest_above(x, low):
    """Return the word nearest to a float of those that end with 16 given bits."""
    bits = np.float32(x).view(np.uint32)
    sign, magnitude = bits & np.uint32(0x80000000), np.int64(bits & 0x7FFFFFFF)
    high = (magnitude - np.int64(low) + 0x8000) >> 16
    high = np.uint32(max(high, np.int64(FLOOR)))
    return np.uint32(sign | np.uint32(high << np.uint32(16)) | low)
