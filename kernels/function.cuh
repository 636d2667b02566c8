// Functions of one number, in float and in double, as package tensor defines
// them, and the numbers that tensor.Fn gives to functions.
#pragma once
#include "cuda.cuh"

enum Function {
	FN_NEG = 1, FN_ABS, FN_EXP, FN_LOG, FN_SQRT, FN_SIN, FN_COS, FN_TANH, FN_SIGMOID, FN_RELU, FN_SILU, FN_GELU,
	FN_GELU_ERF, FN_TANHCAP, FN_ADD, FN_SUB, FN_MUL, FN_DIV, FN_POW, FN_MIN, FN_MAX, FN_SUM, FN_MEAN, FN_PROD
};

DEVICE float abs_of(float x) { return fabsf(x); }
DEVICE double abs_of(double x) { return fabs(x); }
DEVICE float exp_of(float x) { return expf(x); }
DEVICE double exp_of(double x) { return exp(x); }
DEVICE float log_of(float x) { return logf(x); }
DEVICE double log_of(double x) { return log(x); }
DEVICE float sqrt_of(float x) { return sqrtf(x); }
DEVICE double sqrt_of(double x) { return sqrt(x); }
DEVICE float sin_of(float x) { return sinf(x); }
DEVICE double sin_of(double x) { return sin(x); }
DEVICE float cos_of(float x) { return cosf(x); }
DEVICE double cos_of(double x) { return cos(x); }
DEVICE float tanh_of(float x) { return tanhf(x); }
DEVICE double tanh_of(double x) { return tanh(x); }
DEVICE float erfc_of(float x) { return erfcf(x); }
DEVICE double erfc_of(double x) { return erfc(x); }
DEVICE float pow_of(float x, float y) { return powf(x, y); }
DEVICE double pow_of(double x, double y) { return pow(x, y); }

template <class W> DEVICE W sigmoid(W x) { return 1 / (1 + exp_of(-x)); }

template <class W> DEVICE W silu(W x) { return x * sigmoid(x); }

// gelu is x/2·(1+tanh(√(2/π)(x+0.044715x³))), which is a sigmoid.
template <class W> DEVICE W gelu(W x) { return x * sigmoid((W)1.5957691216057308 * (x + (W)0.044715 * x * x * x)); }

template <class W> DEVICE W gelu_erf(W x) { return (W)0.5 * x * erfc_of(x * (W)-0.70710678118654752); }

// relu leaves NaN what it is.
template <class W> DEVICE W relu(W x) { return x < 0 ? 0 : x; }

// least and most of floats are NaN if one of the two is.
DEVICE float least(float a, float b) { return a != a ? a : b != b ? b : fminf(a, b); }
DEVICE float most(float a, float b) { return a != a ? a : b != b ? b : fmaxf(a, b); }
DEVICE double least(double a, double b) { return a != a ? a : b != b ? b : fmin(a, b); }
DEVICE double most(double a, double b) { return a != a ? a : b != b ? b : fmax(a, b); }
template <class W> DEVICE W least(W a, W b) { return b < a ? b : a; }
template <class W> DEVICE W most(W a, W b) { return b > a ? b : a; }
