// reduce_{type}: dst (rows) = fn over the columns of x (rows, cols), both of
// one plain type: sum, mean, prod, min or max. Floats are joined in double,
// integers in 64 bits, of which they keep the low ones. NaN comes through min
// and max.
// reduce_join_{type}: the same over the parts of rows that reduce has joined.
//
// Launch: reduce as norm.cu, or, of a few long rows, a block a part;
// reduce_join a block a row. Bound: bytes of x.
// measured: not yet
#include "function.cuh"
#include "plain.cuh"
#include "team.cuh"

struct Reduce {
	uint64_t dst, x;
	uint64_t part; // (rows, parts) double or int64; none: one part, into dst
	int64_t rows, cols;
	int64_t piece; // columns of a part
	int32_t parts; // of a row
	int32_t lanes; // of a team
	int32_t fn;
	int32_t pad;
};

template <bool integer> struct Joined { typedef double Type; };
template <> struct Joined<true> { typedef int64_t Type; };

DEVICE double highest(double) { return __uint_as_float(0x7f800000); }
DEVICE int64_t highest(int64_t) { return 0x7fffffffffffffff; }
DEVICE double lowest(double) { return -__uint_as_float(0x7f800000); }
DEVICE int64_t lowest(int64_t) { return -0x7fffffffffffffff - 1; }

template <class A> DEVICE A join(int fn, A a, A b) {
	switch (fn) {
	case FN_PROD: return a * b;
	case FN_MIN: return least(a, b);
	case FN_MAX: return most(a, b);
	}
	return a + b;
}

// reduced joins n numbers that a team has.
template <class A, class G> DEVICE A reduced(const Team &t, int64_t n, int fn, G get) {
	A zero = fn == FN_PROD ? 1 : fn == FN_MIN ? highest((A)0) : fn == FN_MAX ? lowest((A)0) : 0, v = zero;
#pragma unroll 4
	for (int64_t i = t.rank; i < n; i += t.size) v = join(fn, v, get(i));
	return joined(t, v, zero, [=](A a, A b) { return join(fn, a, b); });
}

// finish writes the result of a row.
template <class T> DEVICE void finish(const Reduce &a, int64_t row, typename Joined<T::integer>::Type v) {
	((typename T::Store *)a.dst)[row] = T::round(a.fn == FN_MEAN ? v / a.cols : v);
}

template <class T> DEVICE void reduce_rows(const Reduce &a) {
	typedef typename Joined<T::integer>::Type A;
	Team t = team(a.lanes);
	int64_t first = t.row % a.parts * a.piece, row = t.row / a.parts;
	if (row >= a.rows) return; // a whole team
	const typename T::Store *x = (const typename T::Store *)a.x + row * a.cols + first;
	int64_t n = a.cols - first < a.piece ? a.cols - first : a.piece;
	A v = reduced<A>(t, n, a.fn, [=](int64_t i) { return (A)T::get(x[i]); });
	if (t.rank) return;
	if (a.part) ((A *)a.part)[t.row] = v;
	else finish<T>(a, row, v);
}

template <class T> DEVICE void reduce_join_rows(const Reduce &a) {
	typedef typename Joined<T::integer>::Type A;
	Team t = team(blockDim.x);
	const A *part = (const A *)a.part + t.row * a.parts;
	A v = reduced<A>(t, a.parts, a.fn, [=](int64_t i) { return part[i]; });
	if (t.rank == 0) finish<T>(a, t.row, v);
}

#define REDUCE(type, T) \
	KERNEL(reduce_##type, Reduce, 1024, 1) { reduce_rows<T>(a); } \
	KERNEL(reduce_join_##type, Reduce, 256, 1) { reduce_join_rows<T>(a); }

REDUCE(f32, F32)
REDUCE(f64, F64)
REDUCE(f16, F16)
REDUCE(bf16, BF16)
REDUCE(i8, I8)
REDUCE(i16, I16)
REDUCE(i32, I32)
REDUCE(i64, I64)
