package tensor

// An Op is one operation with its operands, destination first. Its fields are
// what a device needs to execute it and nothing else: a list of them is a
// program that a device can compile, count or show.
//
// The methods of Stream build Ops and say what each operand means.
type Op struct {
	Kind OpKind
	Dst  *Tensor
	A    *Tensor // first operand
	B    *Tensor // second operand, or nil; TopK: the indices, which it writes too
	C    *Tensor // third operand, or nil
	Pos  *Tensor // (n) i32: positions of the n rows, for RoPE, Store, Attention
	Seq  *Tensor // (n) i32: sequences of the n rows, for Store and Attention; nil: all of one
	Seqs int     // Store, Attention: sequences that the caches hold; 0 without Seq

	From, To, N int // Fork: sequences, and positions of them

	Alike Alike // MatMul, Attention, norms: what a row's result may depend on

	Fn    Fn      // which function: Unary, Binary, Reduce, GLU
	Eps   float32 // RMSNorm, LayerNorm
	Scale float32 // Scale: the factor; Attention: of the scores; Fill: the value
	Rope  *Rope   // RoPE

	Window  int     // Attention: keys a query sees, itself included; 0 is all
	Softcap float32 // Attention: scores become cap*tanh(score/cap); 0 is off
	Heads   int     // Attention: query heads
	KVHeads int     // Attention: key and value heads
	Seed    uint64  // Random
}

// Alike says what the result of a row may depend on besides that row, in its
// last bits: sums have an order, and a fast order depends on how many rows
// there are.
type Alike uint8

const (
	Apart Alike = iota // whatever is fast for so many rows

	// Nothing else. The orders are for few rows (up to eight), for some (tokens
	// of more texts) and for many (prompts), and each is right for any number.
	AlikeFew
	AlikeSome
	AlikeMany
)

// An OpKind names an operation.
type OpKind uint8

// The operations. Stream's methods of the same names define them.
const (
	OpMatMul OpKind = iota + 1
	OpRows
	OpRMSNorm
	OpLayerNorm
	OpRoPE
	OpStore
	OpAttention
	OpGLU
	OpUnary
	OpBinary
	OpScale
	OpSoftmax
	OpReduce
	OpArgMax
	OpConvert
	OpTranspose
	OpFill
	OpRandom
	OpTopK
	OpFork
)

var opNames = [...]string{OpMatMul: "matmul", OpRows: "rows", OpRMSNorm: "rms_norm", OpLayerNorm: "layer_norm",
	OpRoPE: "rope", OpStore: "store", OpAttention: "attention", OpGLU: "glu", OpUnary: "unary", OpBinary: "binary",
	OpScale: "scale", OpSoftmax: "softmax", OpReduce: "reduce", OpArgMax: "arg_max", OpConvert: "convert",
	OpTranspose: "transpose", OpFill: "fill", OpRandom: "random", OpTopK: "top_k", OpFork: "fork"}

func (k OpKind) String() string {
	if int(k) < len(opNames) && opNames[k] != "" {
		return opNames[k]
	}
	return "no operation"
}

// An Fn is a scalar function.
type Fn uint8

// Functions of one number (Unary; SiLU, GELU and ReLU also in GLU), of two
// (Binary), and of a row (Reduce).
const (
	Neg Fn = iota + 1
	Abs
	Exp
	Log
	Sqrt
	Sin
	Cos
	Tanh
	Sigmoid
	ReLU
	SiLU    // x·sigmoid(x)
	GELU    // 0.5x(1+tanh(√(2/π)(x+0.044715x³))), Hendrycks & Gimpel 2016
	GELUErf // 0.5x(1+erf(x/√2))
	Tanhcap // Scale·tanh(x/Scale): the softcap of Gemma 2's logits
	Add     // a+b
	Sub     // a-b
	Mul     // a·b
	Div     // a/b
	Pow     // aᵇ
	Min     // the smaller; of a row: the smallest
	Max     // the larger; of a row: the largest
	Sum     // of a row
	Mean    // of a row
	Prod    // of a row
)

var fnNames = [...]string{Neg: "neg", Abs: "abs", Exp: "exp", Log: "log", Sqrt: "sqrt", Sin: "sin", Cos: "cos",
	Tanh: "tanh", Sigmoid: "sigmoid", ReLU: "relu", SiLU: "silu", GELU: "gelu", GELUErf: "gelu_erf",
	Tanhcap: "tanhcap", Add: "add", Sub: "sub", Mul: "mul", Div: "div", Pow: "pow", Min: "min", Max: "max",
	Sum: "sum", Mean: "mean", Prod: "prod"}

func (f Fn) String() string {
	if int(f) < len(fnNames) && fnNames[f] != "" {
		return fnNames[f]
	}
	return "no function"
}

// Rope describes a rotary position embedding (Su et al. 2021, RoFormer): the
// pair i of a head is turned by pos·θᵢ, with θᵢ = Base^(-2i/Dims)/factorᵢ.
// The factors are Op.B: f32 (Dims/2), or nil for ones.
type Rope struct {
	Dims     int     // how many leading numbers of a head are turned; even
	Base     float64 // 10000 in the paper
	Scale    float64 // positions are multiplied by it: 1/factor of linear scaling; 0 is 1
	NeoX     bool    // pairs are (i, i+Dims/2) instead of (2i, 2i+1)
	AttnMul  float64 // the turned numbers are multiplied by it; 0 is 1
	YaRN     float64 // weight of extrapolation (Peng et al. 2023); 0 is off
	BetaFast float64 // YaRN: rotations at which extrapolation is full, usually 32
	BetaSlow float64 // YaRN: rotations at which it has ended, usually 1
	OrigCtx  int     // YaRN: context length of the training
}
