// rms_norm: dst = x / √(mean(x²)+eps) · w along rows (Zhang & Sennrich 2019).
// layer_norm: dst = (x-mean)/√(var+eps)·w + b (Ba et al. 2016).
//
// x and dst (rows, cols) f32, w and b (cols) f32 or none; dst may be x.
// Launch: a warp a row where rows are short, 8 a block; else a block a row.
// A row is read again for every pass, from L1. Bound: bytes of x and dst.
// measured: 4.8 µs for 512 × 4096, 3.5 TB/s; 2.5 µs for one row (H200, 2026-11-23)
#include "team.cuh"

struct Norm {
	uint64_t dst, x, w, b;
	int64_t rows;
	int32_t cols;
	int32_t lanes; // of a team
	int32_t wide;  // all can be read 16 bytes at a time
	float eps;
};

template <class V> DEVICE void rms_norm_rows(const Norm &a) {
	Team t = team(a.lanes);
	if (t.row >= a.rows) return; // a whole team
	int n = a.cols * (int)sizeof(float) / (int)sizeof(V);
	const V *x = (const V *)a.x + t.row * n, *w = (const V *)a.w;
	V *dst = (V *)a.dst + t.row * n;
	float sum = 0;
	for (int i = t.rank; i < n; i += t.size) sum += total(each(x[i], [](float v) { return v * v; }));
	float f = 1 / sqrtf(team_sum(t, sum) / a.cols + a.eps);
	for (int i = t.rank; i < n; i += t.size) {
		V y = each(x[i], [=](float v) { return v * f; });
		if (w) y = both(y, w[i], [](float v, float w) { return v * w; });
		dst[i] = y;
	}
}

KERNEL(rms_norm, Norm, 1024, 1) {
	if (a.wide) rms_norm_rows<float4>(a);
	else rms_norm_rows<float>(a);
}

template <class V> DEVICE void layer_norm_rows(const Norm &a) {
	Team t = team(a.lanes);
	if (t.row >= a.rows) return;
	int n = a.cols * (int)sizeof(float) / (int)sizeof(V);
	const V *x = (const V *)a.x + t.row * n, *w = (const V *)a.w, *b = (const V *)a.b;
	V *dst = (V *)a.dst + t.row * n;
	float sum = 0;
	for (int i = t.rank; i < n; i += t.size) sum += total(x[i]);
	float mean = team_sum(t, sum) / a.cols;
	float square = 0;
	for (int i = t.rank; i < n; i += t.size) square += total(each(x[i], [=](float v) { return (v - mean) * (v - mean); }));
	float f = 1 / sqrtf(team_sum(t, square) / a.cols + a.eps);
	for (int i = t.rank; i < n; i += t.size) {
		V y = each(x[i], [=](float v) { return (v - mean) * f; });
		if (w) y = both(y, w[i], [](float v, float w) { return v * w; });
		if (b) y = both(y, b[i], [](float v, float b) { return v + b; });
		dst[i] = y;
	}
}

KERNEL(layer_norm, Norm, 1024, 1) {
	if (a.wide) layer_norm_rows<float4>(a);
	else layer_norm_rows<float>(a);
}
