// softmax: dst = exp(x-max) / Σ exp(x-max) along rows.
//
// x and dst (rows, cols) f32; dst may be x. -Inf is masked; a row of nothing
// else gives NaN, as 0/0 is.
// Launch: softmax as norm.cu. A few rows that are long are cut into parts:
// softmax_parts gives largest number and sum of each, softmax_join the result;
// a block a part in both. Bound: bytes of x, twice, and dst.
// measured: not yet
#include "team.cuh"

struct Softmax {
	uint64_t dst, x;
	uint64_t part; // (rows, parts) float2: largest number, sum of exp(x-largest)
	int64_t rows;
	int32_t cols;
	int32_t lanes; // of a team
	int32_t parts; // of a row
	int32_t piece; // columns of a part
	int32_t wide;
	int32_t pad;
};

const uint32_t minus_infinity = 0xff800000;

// weight is exp(v-top); masked numbers weigh nothing even where top is -Inf.
DEVICE float weight(float v, float top) { return v == __uint_as_float(minus_infinity) ? 0 : expf(v - top); }

// weigh returns largest number and sum of n (of V) that a team has.
template <class V> DEVICE float2 weigh(const Team &t, const V *x, int n) {
	float top = __uint_as_float(minus_infinity);
	for (int i = t.rank; i < n; i += t.size) top = fmaxf(top, largest(x[i]));
	top = team_max(t, top);
	float sum = 0;
	for (int i = t.rank; i < n; i += t.size) sum += total(each(x[i], [=](float v) { return weight(v, top); }));
	return make_float2(top, team_sum(t, sum));
}

template <class V> DEVICE void normalise(const Team &t, V *dst, const V *x, int n, float top, float sum) {
	float f = 1 / sum;
	for (int i = t.rank; i < n; i += t.size) dst[i] = each(x[i], [=](float v) { return weight(v, top) * f; });
}

template <class V> DEVICE void softmax_rows(const Softmax &a) {
	Team t = team(a.lanes);
	if (t.row >= a.rows) return; // a whole team
	int n = a.cols * (int)sizeof(float) / (int)sizeof(V);
	const V *x = (const V *)a.x + t.row * n;
	float2 w = weigh(t, x, n);
	normalise(t, (V *)a.dst + t.row * n, x, n, w.x, w.y);
}

KERNEL(softmax, Softmax, 1024, 1) {
	if (a.wide) softmax_rows<float4>(a);
	else softmax_rows<float>(a);
}

// part_of is where a block's part begins, in numbers, and its length.
DEVICE int64_t part_of(const Softmax &a, int *n) {
	int first = blockIdx.x % a.parts * a.piece;
	*n = a.cols - first < a.piece ? a.cols - first : a.piece;
	return (int64_t)(blockIdx.x / a.parts) * a.cols + first;
}

KERNEL(softmax_parts, Softmax, 1024, 1) {
	Team t = team(blockDim.x);
	int n;
	const float *x = (const float *)a.x + part_of(a, &n);
	float2 w = a.wide ? weigh(t, (const float4 *)x, n / 4) : weigh(t, x, n);
	if (t.rank == 0) ((float2 *)a.part)[blockIdx.x] = w;
}

KERNEL(softmax_join, Softmax, 1024, 1) {
	Team t = team(blockDim.x);
	int n;
	int64_t first = part_of(a, &n);
	const float2 *part = (const float2 *)a.part + (int64_t)(blockIdx.x / a.parts) * a.parts;
	float top = __uint_as_float(minus_infinity), sum = 0;
	for (int i = t.rank; i < a.parts; i += t.size) top = fmaxf(top, part[i].x);
	top = team_max(t, top);
	for (int i = t.rank; i < a.parts; i += t.size) sum += part[i].y * weight(part[i].x, top);
	sum = team_sum(t, sum);
	float *dst = (float *)a.dst + first;
	const float *x = (const float *)a.x + first;
	if (a.wide) normalise(t, (float4 *)dst, (const float4 *)x, n / 4, top, sum);
	else normalise(t, dst, x, n, top, sum);
}
