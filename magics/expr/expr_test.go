package expr

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/llcuda/llcuda/tensor"
	"github.com/llcuda/llcuda/tensor/cpu"
)

// small is the CPU device with little memory, so that a fuzzer cannot fill the
// machine's.
type small struct{ *cpu.Device }

func (small) Memory() (free, total int64) { return 1 << 20, 1 << 20 }

func newTestEnv() *Env { return NewEnv(NewVars(), cpu.Default()) }

// show runs a source and returns what it shows, one value a line.
func show(e *Env, src string) (string, error) {
	p, err := Parse(src)
	if err != nil {
		return "", err
	}
	var out []string
	err = e.Run(context.Background(), p, func(v Value, result, last bool) error {
		if s, ok := v.(string); ok && !result {
			out = append(out, strings.TrimSuffix(s, "\n"))
			return nil
		}
		text, err := e.Text(v)
		out = append(out, text)
		return err
	})
	return strings.Join(out, "\n"), err
}

// What Python 3.13 and PyTorch 2 print for the same text (dtype names aside),
// or what follows by hand.
var values = []struct{ src, want string }{
	{"1 + 2", "3"},
	{"2 ** 10", "1024"},
	{"-2 ** 2", "-4"},
	{"2 ** -1", "0.5"},
	{"2 ** 3 ** 2", "512"},
	{"7 / 2", "3.5"},
	{"-7 // 2", "-4"},
	{"-7 % 3", "2"},
	{"7.5 // 2", "3.0"},
	{"7 % -3", "-2"},
	{"(1 + 2) * 3", "9"},
	{"9007199254740993 + 2", "9007199254740995"},
	{"-9223372036854775808", "-9223372036854775808"},
	{"1e3", "1000.0"},
	{"0.1 + 0.2", "0.30000000000000004"},
	{"1e16", "1e+16"},
	{"1_000_000", "1000000"},
	{"0x10", "16"},
	{"abs(-3)", "3"},
	{"sqrt(16)", "4.0"},
	{"True + 1", "2"},
	{"tensor(3)", "tensor(3)"},
	{"tensor(2.5)", "tensor(2.5000)"},
	{"tensor([1, 2, 3])", "tensor([1, 2, 3])"},
	{"tensor([1., 2, 3])", "tensor([1., 2., 3.])"},
	{"tensor([1.5, 2, -3])", "tensor([ 1.5000,  2.0000, -3.0000])"},
	{"tensor([[1, 2], [3, 4]])", "tensor([[1, 2],\n        [3, 4]])"},
	{"tensor([[[1], [2]], [[3], [4]]])", "tensor([[[1],\n         [2]],\n\n        [[3],\n         [4]]])"},
	{"tensor([])", "tensor([])"},
	{"zeros(0, 3)", "tensor([], size=(0, 3))"},
	{"zeros(2, 3)", "tensor([[0., 0., 0.],\n        [0., 0., 0.]])"},
	{"ones(2, dtype=f16)", "tensor([1., 1.], dtype=f16)"},
	{"ones(2, dtype=i32)", "tensor([1, 1], dtype=i32)"},
	{"full((2, 2), 7)", "tensor([[7, 7],\n        [7, 7]])"},
	{"full((2,), 0.1, dtype=f64) * 3", "tensor([0.3000, 0.3000], dtype=f64)"},
	{"(full((1,), 0.1, dtype=f64) * 3).item()", "0.30000000000000004"},
	{"full((2,), 9007199254740993)", "tensor([9007199254740993, 9007199254740993])"},
	{"eye(2)", "tensor([[1., 0.],\n        [0., 1.]])"},
	{"eye(2, 3, dtype=i8)", "tensor([[1, 0, 0],\n        [0, 1, 0]], dtype=i8)"},
	{"arange(5)", "tensor([0, 1, 2, 3, 4])"},
	{"arange(1, 2, 0.5)", "tensor([1.0000, 1.5000])"},
	{"arange(5, 0, -2)", "tensor([5, 3, 1])"},
	{"linspace(0, 1, 5)", "tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])"},
	{"arange(6).reshape(2, -1)", "tensor([[0, 1, 2],\n        [3, 4, 5]])"},
	{"arange(6).reshape(2, 3).T", "tensor([[0, 3],\n        [1, 4],\n        [2, 5]])"},
	{"arange(6).reshape(2, 3).T.shape", "(3, 2)"},
	{"arange(6).reshape((3, 2))[1]", "tensor([2, 3])"},
	{"arange(6).reshape(3, 2)[-1, 0]", "tensor(4)"},
	{"arange(12).reshape(3, 4)[:, 1]", "tensor([1, 5, 9])"},
	{"arange(10)[::3]", "tensor([0, 3, 6, 9])"},
	{"arange(10)[1:8:2]", "tensor([1, 3, 5, 7])"},
	{"arange(10)[-3::2]", "tensor([7, 9])"},
	{"arange(10)[::100]", "tensor([0])"},
	{"arange(10)[5:2:2]", "tensor([], dtype=i64)"},
	{"arange(12).reshape(3, 4)[::2, 1::2]", "tensor([[ 1,  3],\n        [ 9, 11]])"},
	{"arange(12).reshape(3, 4)[1, ::3]", "tensor([4, 7])"},
	{"arange(12).reshape(3, 4)[::2]", "tensor([[ 0,  1,  2,  3],\n        [ 8,  9, 10, 11]])"},
	{"arange(12).reshape(3, 4).T[::2, 0]", "tensor([0, 2])"},
	{"[1, 2, 3, 4][::3]", "[1, 4]"},
	{"arange(12).reshape(3, 4)[1:, 1:3]", "tensor([[ 5,  6],\n        [ 9, 10]])"},
	{"arange(12).reshape(3, 4)[1, 1:3]", "tensor([5, 6])"},
	{"arange(12).reshape(3, 4)[0:1]", "tensor([[0, 1, 2, 3]])"},
	{"arange(12).reshape(3, 4)[2:1].shape", "(0, 4)"},
	{"arange(12).reshape(3, 4).T[0]", "tensor([0, 4, 8])"},
	{"arange(24).reshape(2, 3, 4)[:, 1, 2]", "tensor([ 6, 18])"},
	{"arange(24).reshape(2, 3, 4)[1, 1:, 3]", "tensor([19, 23])"},
	{"arange(3)[5:9]", "tensor([], dtype=i64)"},
	{"zeros(3, 4).shape", "(3, 4)"},
	{"zeros(3, 4).shape[-1]", "4"},
	{"zeros(5).shape", "(5,)"},
	{"zeros(3, 4).dtype", "f32"},
	{"zeros(3, 4).device", "cpu"},
	{"zeros(3, 4).numel", "12"},
	{"zeros(3, 4).numel()", "12"},
	{"zeros(3, 4, dtype=f16).nbytes", "24"},
	{"zeros(2, 256).to(q4_k).nbytes", "288"},
	{"zeros(2, 3).size(1)", "3"},
	{"len(zeros(2, 3))", "2"},
	{"tensor([[1, 2], [3, 4]]) @ tensor([[5, 6], [7, 8]])", "tensor([[19, 22],\n        [43, 50]])"},
	{"tensor([[1., 2], [3, 4]]) @ tensor([[5., 6], [7, 8]])", "tensor([[19., 22.],\n        [43., 50.]])"},
	{"tensor([1., 2, 3]) @ tensor([4., 5, 6])", "tensor(32.)"},
	{"tensor([[1., 2], [3, 4]]) @ tensor([1., 1])", "tensor([3., 7.])"},
	{"tensor([1., 1]) @ tensor([[1., 2], [3, 4]])", "tensor([4., 6.])"},
	{"(ones(2, 3, 4) @ ones(4, 5)).shape", "(2, 3, 5)"},
	{"arange(8, dtype=f32).reshape(2, 2, 2) @ eye(2)", "tensor([[[0., 1.],\n         [2., 3.]],\n\n        [[4., 5.],\n         [6., 7.]]])"},
	{"(arange(8).reshape(2, 2, 2) @ arange(8).reshape(2, 2, 2))[1]", "tensor([[46, 55],\n        [66, 79]])"},
	{"arange(6, dtype=f32).reshape(2, 3) @ arange(6, dtype=f32).reshape(2, 3).T", "tensor([[ 5., 14.],\n        [14., 50.]])"},
	{"(ones(2, 3, dtype=f16) @ ones(3, 2, dtype=f16)).dtype", "f16"},
	{"zeros(0, 3) @ zeros(3, 2)", "tensor([], size=(0, 2))"},
	{"zeros(2, 0) @ zeros(0, 2)", "tensor([[0., 0.],\n        [0., 0.]])"},
	{"tensor([1, 2]) + 1", "tensor([2, 3])"},
	{"tensor([1, 2]) + 1.5", "tensor([2.5000, 3.5000])"},
	{"tensor([1, 2]) / 2", "tensor([0.5000, 1.0000])"},
	{"tensor([5, -5]) // 2", "tensor([ 2, -3])"},
	{"tensor([5, -5]) % 3", "tensor([2, 1])"},
	{"10 - tensor([1, 2])", "tensor([9, 8])"},
	{"1 / tensor([2., 4])", "tensor([0.5000, 0.2500])"},
	{"2 ** tensor([1, 2, 3])", "tensor([2, 4, 8])"},
	{"tensor([1, 2, 3]) ** 2", "tensor([1, 4, 9])"},
	{"-tensor([1, -2])", "tensor([-1,  2])"},
	{"tensor([[1, 2], [3, 4]]) + tensor([10, 20])", "tensor([[11, 22],\n        [13, 24]])"},
	{"tensor([10, 20]) - tensor([[1, 2], [3, 4]])", "tensor([[ 9, 18],\n        [ 7, 16]])"},
	{"tensor([[1], [2]]) * tensor([[10, 20, 30]])", "tensor([[10, 20, 30],\n        [20, 40, 60]])"},
	{"(zeros(2, 1, 3) + zeros(4, 1)).shape", "(2, 4, 3)"},
	{"(tensor([1], dtype=i8) + tensor([1], dtype=i32)).dtype", "i32"},
	{"(tensor([1], dtype=f16) + tensor([1], dtype=bf16)).dtype", "f32"},
	{"(tensor([1], dtype=f16) + tensor([1])).dtype", "f16"},
	{"(tensor([1], dtype=f16) + 1.5).dtype", "f16"},
	{"(tensor([1], dtype=f16) + tensor(1.5)).dtype", "f16"},
	{"(tensor([1], dtype=i8) + 1).dtype", "i8"},
	{"(tensor([1], dtype=i8) + 1.0).dtype", "f32"},
	{"(tensor([1], dtype=i8) + tensor(1.0, dtype=f64)).dtype", "f64"},
	{"arange(6).reshape(2, 3).sum()", "tensor(15)"},
	{"arange(6).reshape(2, 3).sum(0)", "tensor([3, 5, 7])"},
	{"arange(6).reshape(2, 3).sum(dim=-1)", "tensor([ 3, 12])"},
	{"arange(6).reshape(2, 3).sum(dim=1, keepdim=true)", "tensor([[ 3],\n        [12]])"},
	{"tensor([1, 2], dtype=i8).sum().dtype", "i64"},
	{"arange(24).reshape(2, 3, 4).sum(1)", "tensor([[12, 15, 18, 21],\n        [48, 51, 54, 57]])"},
	{"arange(6, dtype=f32).mean()", "tensor(2.5000)"},
	{"arange(6).reshape(2, 3).mean(1)", "tensor([1., 4.])"},
	{"tensor([9007199254740993, 9007199254740995]).mean().dtype", "f32"},
	{"A = 1; B = 2; C = 3; D = 4; delete A B; del C, D; list", "no variables yet; make one with %tensor A = randn(2, 3)"},
	{"del_ = 1; del_", "1"},
	{"arange(6).reshape(2, 3).max(0)", "tensor([3, 4, 5])"},
	{"arange(6).min()", "tensor(0)"},
	{"tensor([2, 3, 4]).prod()", "tensor(24)"},
	{"zeros(0).sum()", "tensor(0.)"},
	{"zeros(0).mean()", "tensor(nan)"},
	{"tensor([1., 9, 3]).argmax()", "tensor(1)"},
	{"tensor([[1, 9], [9, 3]]).argmax(1)", "tensor([1, 0])"},
	{"tensor([[1., 9], [9, 3]]).argmax(dim=0)", "tensor([1, 0])"},
	{"tensor([3, 1, 1]).argmin()", "tensor(1)"},
	{"tensor([9007199254740992, 9007199254740993]).argmax()", "tensor(1)"},
	{"tensor([0., 0]).softmax(0)", "tensor([0.5000, 0.5000])"},
	{"softmax(tensor([[1., 2], [3, 4]]), dim=0)", "tensor([[0.1192, 0.1192],\n        [0.8808, 0.8808]])"},
	{"softmax(tensor([1., 2, 3]))", "tensor([0.0900, 0.2447, 0.6652])"},
	{"exp(tensor([0, 1]))", "tensor([1.0000, 2.7183])"},
	{"tensor([-1., 2]).relu()", "tensor([0., 2.])"},
	{"silu(tensor([1.]))", "tensor([0.7311])"},
	{"gelu(tensor([1.]))", "tensor([0.8413])"},
	{"tanh(tensor([0.5]))", "tensor([0.4621])"},
	{"maximum(tensor([1, 5]), tensor([3, 2]))", "tensor([3, 5])"},
	{"tensor([1e-5, 1])", "tensor([1.0000e-05, 1.0000e+00])"},
	{"tensor([1e9, 1])", "tensor([1.0000e+09, 1.0000e+00])"},
	{"tensor([1., inf, nan])", "tensor([1., inf, nan])"},
	{"tensor([1.5, -inf])", "tensor([1.5000,   -inf])"},
	{"tensor([3.7]).to(i64)", "tensor([3])"},
	{"tensor([300]).to(i8)", "tensor([44], dtype=i8)"},
	{"tensor([1, 2]).float()", "tensor([1., 2.])"},
	{"f16(tensor([1, 2])).dtype", "f16"},
	// 127 in q8_0 has the scale 1 and is exact.
	{"full((1, 32), 127.0).q8_0()", "tensor([[127., 127., 127., 127., 127., 127., 127., 127., 127., 127., 127., 127.,\n         127., 127., 127., 127., 127., 127., 127., 127., 127., 127., 127., 127.,\n         127., 127., 127., 127., 127., 127., 127., 127.]], dtype=q8_0)"},
	{"full((2, 32), 127.0).to('q8_0')[1, 3]", "tensor(127.)"},
	{"(full((2, 32), 127.0) @ full((4, 32), 127.0).to(q8_0).T)[0]", "tensor([516128., 516128., 516128., 516128.])"},
	{"ones(2, 32).to(q8_0).T.shape", "(32, 2)"},

	// 8/63 is nearest to 0.1609 of nf4, 1/6 of fp4 and 16/127.
	{"nf4(arange(64, dtype=f32).reshape(1, 64))[0, 8]", "tensor(10.1386)"},
	{"fp4(arange(64, dtype=f32).reshape(1, 64))[0, 8]", "tensor(10.5000)"},
	{"llm_int8(arange(64, dtype=f32).reshape(1, 64))[0, 8]", "tensor(7.9370)"},
	{"full((1, 64), 2.0) @ full((3, 64), 0.5).nf4().T", "tensor([[64.0000, 64.0000, 64.0000]])"},
	{"(full((9, 64), 2.0) @ full((1, 64), -0.5).to('fp4').T)[8]", "tensor([-64.])"},
	{"arange(2000)", "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"},
	{"zeros(1001, 2)", "tensor([[0., 0.],\n        [0., 0.],\n        [0., 0.],\n        ...,\n        [0., 0.],\n        [0., 0.],\n        [0., 0.]])"},
	{"arange(1200).reshape(40, 30)", "tensor([[   0,    1,    2,  ...,   27,   28,   29],\n        [  30,   31,   32,  ...,   57,   58,   59],\n        [  60,   61,   62,  ...,   87,   88,   89],\n        ...,\n        [1110, 1111, 1112,  ..., 1137, 1138, 1139],\n        [1140, 1141, 1142,  ..., 1167, 1168, 1169],\n        [1170, 1171, 1172,  ..., 1197, 1198, 1199]])"},
	{"arange(1200).reshape(40, 30).T[0][:3]", "tensor([ 0, 30, 60])"},
	{"(arange(1200).reshape(40, 30).T + 0)[0][:3]", "tensor([ 0, 30, 60])"},
	{"randint(3, 4, (2,))", "tensor([3, 3])"},
	{"(randn(3, seed=7) - randn(3, seed=7)).abs().max()", "tensor(0.)"},
	{"randn(2, 3, dtype=f16, seed=7).dtype", "f16"},
	{"print(1, 'two', tensor([3]))", "1 two tensor([3])"},
	{"A = 3", ""},
	{"A = 3; A += 4; A", "7"},
	{"A = tensor([1, 2])\nA *= 2\n\n# a comment\n// another\nA", "tensor([2, 4])"},
	{"A = [\n 1,\n 2\n]\nA", "[1, 2]"},
	{"create A 3x4 f16; A.shape; A.dtype", "(3, 4)\nf16"},
	{"create A 3x4\nprint A", "tensor([[0., 0., 0., 0.],\n        [0., 0., 0., 0.],\n        [0., 0., 0., 0.]])"},
	{"A = 1; delete A; list", "no variables yet; make one with %tensor A = randn(2, 3)"},
	{"A = zeros(2, 3); n = 4; list", "name  type  shape or value  device  size\nA     f32   (2, 3)          cpu     24 bytes\nn     int   4"},
	{"max = 3; max + 1", "4"},
	{"A = eye(2); B = A; del A; B[0]", "tensor([1., 0.])"},
	{"A = arange(4).reshape(2, 2); B = A[1]; A = 0; B", "tensor([2, 3])"},
	{"f16", "f16"},
	{"(1, 2)", "(1, 2)"},
	{"(1,)", "(1,)"},
	{"tensor([1, 2]).dtype", "i64"},
	{"tensor([[1., 2.]]).squeeze().unsqueeze(0).shape", "(1, 2)"},
}

func TestValues(t *testing.T) {
	for _, c := range values {
		t.Run(c.src, func(t *testing.T) {
			got, err := show(newTestEnv(), c.src)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

var mistakes = []struct {
	src  string
	col  int
	want string // a part of the message
}{
	{"1 +", 4, "the statement ends where a value should be"},
	{"1 + * 2", 5, `unexpected "*", want a value`},
	{"A = ", 5, "the statement ends"},
	{"(1, 2", 6, `the statement ends where "," or ")" should be`},
	{"1 2", 3, `unexpected "2", want the end`},
	{"3x4", 1, `"3x4" is no number`},
	{"'abc", 1, "no closing '"},
	{"1 $ 2", 3, `unexpected character "$"`},
	{"1 == 2", 3, "cannot be compared"},
	{"A + 1", 1, "no variable A; %tensor list"},
	{"rand + 1", 1, "rand is a function"},
	{"zero(3)", 1, "no function zero; did you mean zeros?"},
	{"zeros(2).shap", 10, "no attribute shap; did you mean shape?"},
	{"zeros(2).sum", 10, "sum is a method: write A.sum()"},
	{"zeros(2).summ()", 10, "no method summ; did you mean sum?"},
	{"zeros(2, 3) @ zeros(2, 3)", 13, "(2, 3) @ (2, 3): the last dimension on the left is 3, the one on the right that it meets is 2"},
	{"zeros(2, 3) + zeros(2, 4)", 13, "+ of shapes (2, 3) and (2, 4)"},
	{"zeros(2) @ 3", 10, "to scale write *"},
	{"zeros(2)[2]", 10, "index 2 is out of range: dimension 0 has 2 entries"},
	{"zeros(2)[0, 1]", 9, "2 indices for shape (2,)"},
	{"zeros(2).to(cuda)", 13, "no device cuda here, only cpu; %gpu says why"},
	{"zeros(2).to('cuda:0')", 10, "no device cuda:0 here, only cpu; %gpu says why"},
	{"zeros(2, device=gpu)", 17, "no device gpu here"},
	{"zeros(2)[::-1]", 12, "a slice with step -1: steps are 1 or more"},
	{"zeros(2)[::0]", 12, "a slice with step 0"},
	{"zeros(2)[1.5]", 10, "an index is an integer"},
	{"zeros(1000000, 1000000)", 1, "takes 4 TB, and cpu has"},
	{"zeros(4000000000, 4000000000, 4000000000)", 1, "free of"},
	{"zeros(-1)", 1, "negative dimension"},
	{"zeros(2, dtyp=f16)", 10, "it takes dtype, device"},
	{"zeros(2, dtype=3)", 1, "dtype is a type"},
	{"zeros(2.5)", 1, "dimension 0 is an integer, not 2.5"},
	{"tensor([[1], [2, 3]])", 1, "the lists do not fit together"},
	{"tensor([1, 'a'])", 1, "want numbers in lists"},
	{"zeros(3, 4).to(q4_k)", 13, "q4_k holds blocks of 256 numbers, and rows of shape (3, 4) have 4"},
	{"zeros(2, 256).to(iq2_xxs)", 15, "its encoder needs a training set"},
	{"zeros(2).to(tpu)", 13, "no variable tpu"},
	{"zeros(2).cuda()", 10, "no device cuda here, only cpu"},
	{"zeros(2).sum(dim=3)", 10, "dim 3 is out of range"},
	{"zeros(0).max()", 10, "max of no numbers"},
	{"zeros(2, 3).reshape(4, -1)", 13, "6 numbers do not fill it"},
	{"zeros(2).item()", 10, "want one number"},
	{"zeros(2, 3, 4).T", 16, "want 2 dimensions"},
	{"9223372036854775807 + 1", 21, "does not fit in 64 bits"},
	{"9223372036854775808", 1, "write 9223372036854775808.0 for a float"},
	{"2 ** 64", 3, "does not fit in 64 bits"},
	{"1 / 0", 3, "division by zero"},
	{"tensor([1, 2]) // 0", 16, "division by zero"},
	{"tensor([1]) ** -1", 13, "integers have no negative powers"},
	{"full((2,), 300, dtype=i8)", 1, "300 does not fit in i8 (-128 to 127)"},
	{"f16 = 3", 1, "f16 is a word of the language"},
	{"cpu = 3", 1, "cpu is a device"},
	{"zeros(2) = 3", 10, "only a name can be assigned to"},
	{"a = b = 3", 7, "one assignment"},
	{"del A", 5, "no variable A"},
	{"del 3", 5, "the name of a variable, as in del A, B"},
	{"del A + 1", 7, "the name of a variable"},
	{"arange(0, 3, 0)", 1, "no numbers lead from 0 to 3"},
	{"exp('a')", 1, `want a tensor or a number, not "a"`},
	{"eye(2, 3, 4)", 1, "3 arguments are too many"},
	{"reshape()", 1, "A is missing"},
	{"1\n2\nAB * 2", 1, "no variable AB"},
	{"1()", 1, "this cannot be called"},
	{"x.y.z = 1", 7, "only a name"},
	{strings.Repeat("(", 500) + "1", 201, "nested deeper than 200 levels"},
	{strings.Repeat("-", 500) + "1", 201, "nested deeper than 200 levels"},
	{strings.Repeat("1+", 30000) + "1", 40002, "more than 20000 operators"},
}

func TestMistakes(t *testing.T) {
	for _, c := range mistakes {
		t.Run(c.src[:min(len(c.src), 40)], func(t *testing.T) {
			got, err := show(newTestEnv(), c.src)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %q and error %v, want an *Error", got, err)
			}
			if !strings.Contains(e.Msg, c.want) {
				t.Errorf("got %q, want %q in it", e.Msg, c.want)
			}
			if e.Column() != c.col {
				t.Errorf("column %d, want %d: %s", e.Column(), c.col, e.Msg)
			}
		})
	}
}

func TestCaret(t *testing.T) {
	_, err := show(newTestEnv(), "A = 1\nAé + * 2\n3")
	want := "Aé + * 2\n     ^"
	var e *Error
	if !errors.As(err, &e) || e.Caret() != want {
		t.Errorf("got\n%s\nwant\n%s", e.Caret(), want)
	}
	if n, _ := e.Line(); n != 2 {
		t.Errorf("line %d, want 2", n)
	}
}

// Every type that can be written is a function and a method, and brings
// numbers that it represents back unchanged.
func TestEveryType(t *testing.T) {
	for _, d := range tensor.DTypes() {
		e := newTestEnv()
		if !d.CanEncode() {
			if _, err := show(e, fmt.Sprintf("%s(zeros(1, 256))", d)); err == nil {
				t.Errorf("%s: converted without an encoder", d)
			}
			continue
		}
		got, err := show(e, fmt.Sprintf("A = %s(zeros(2, 256)); A.dtype; A.nbytes; A.shape; A.to(f32).abs().max()", d))
		want := fmt.Sprintf("%s\n%d\n(2, 256)\ntensor(0.)", d, d.Bytes(512))
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", d, got, err, want)
		}
	}
}

func TestMemoryIsFreed(t *testing.T) {
	e := newTestEnv()
	dev := e.Devices[0]
	for _, c := range []struct {
		src  string
		want int64
	}{
		{"A = zeros(1000)", 4000},
		{"A + 1", 4000},
		{"B = A[1:3]", 4000},
		{"A = A * 2", 8000}, // B still holds the first
		{"del B", 4000},
		{"C = A.T if", 4000}, // a mistake
		{"A = (A + 1) * (A + 2)", 4000},
		{"L = [A, zeros(10)]; del A", 4040},
		{"del L", 0},
	} {
		_, _ = show(e, c.src)
		if got := e.Bytes(dev); got != c.want {
			t.Errorf("after %s: %d bytes, want %d", c.src, got, c.want)
		}
	}
}

// An error of a device belongs to its statement: the next one starts afresh.
func TestErrorDoesNotStay(t *testing.T) {
	e := newTestEnv()
	for range 2 {
		if _, err := show(e, "tensor([1, 2]) // 0"); err == nil || !strings.Contains(err.Error(), "division by zero") {
			t.Fatalf("got %v, want a division by zero", err)
		}
		if got, err := show(e, "tensor([1, 2]) + 1"); got != "tensor([2, 3])" || err != nil {
			t.Fatalf("got %q, %v after a failed statement", got, err)
		}
		if _, err := e.Eval(context.Background(), "tensor([1, 2]) // 0"); err == nil {
			t.Fatal("no error")
		}
	}
}

// A promiser has the same memory free however much it gave away, as a system
// does that hands out memory only when it is written.
type promiser struct{ small }

func (p promiser) New(d tensor.DType, shape ...int) (*tensor.Tensor, error) {
	t, err := p.Device.New(d, shape...)
	if err == nil {
		t.Device = p
	}
	return t, err
}

func TestPromisedMemoryCounts(t *testing.T) {
	e := NewEnv(NewVars(), promiser{small{cpu.New(1)}})
	if _, err := show(e, "A = zeros(100000); B = zeros(100000)"); err != nil {
		t.Fatal(err)
	}
	if _, err := show(e, "C = zeros(100000)"); err == nil || !strings.Contains(err.Error(), "cpu has 249 kB free of 1.05 MB") {
		t.Errorf("got %v, want a refusal", err)
	}
	if _, err := show(e, "del A\nC = zeros(100000)"); err != nil {
		t.Error(err)
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p, err := Parse("A = zeros(2)")
	if err != nil {
		t.Fatal(err)
	}
	if err := newTestEnv().Run(ctx, p, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// A countdown is cancelled when it was asked n times.
type countdown struct {
	context.Context
	n int
}

func (c *countdown) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

// Long statements hear an interrupt in their middle, and then assign nothing.
func TestInterruptInAStatement(t *testing.T) {
	const many = 1000
	for _, c := range []struct{ short, long string }{
		{"A = arange(10)", "A = arange(200000)"},
		{"A = rand(10)", "A = rand(200000)"},
		{"A = linspace(0, 1, 10)", "A = linspace(0, 1, 200000)"},
		{"A = eye(10)", "A = eye(400)"},
		{"A = ones(4, 2) @ ones(2, 3)", "A = ones(200, 2000) @ ones(2000, 3000)"},
	} {
		e := newTestEnv()
		run := func(src string, n int) (asked int, err error) {
			p, err := Parse(src)
			if err != nil {
				t.Fatal(err)
			}
			ctx := &countdown{context.Background(), n}
			err = e.Run(ctx, p, nil)
			return n - ctx.n, err
		}
		short, err1 := run(c.short, many)
		long, err2 := run(c.long, many)
		if err1 != nil || err2 != nil || long <= short {
			t.Errorf("%s: asked %d times, %v; want more than %d, %v", c.long, long, err2, short, err1)
		}
		for n := range long {
			e.Vars.Clear()
			if _, err := run(c.long, n); !errors.Is(err, context.Canceled) {
				t.Errorf("%s, interrupted at %d of %d: got %v", c.long, n, long, err)
			}
			if names := e.Vars.Names(); len(names) > 0 || e.Bytes(e.Devices[0]) != 0 {
				t.Errorf("%s, interrupted at %d of %d: left %q and %d bytes", c.long, n, long, names, e.Bytes(e.Devices[0]))
			}
		}
	}
}

// Parsing and running never panic, and errors are inside the source.
func FuzzRun(f *testing.F) {
	for _, c := range values {
		f.Add(c.src)
	}
	for _, c := range mistakes {
		f.Add(c.src[:min(len(c.src), 100)])
	}
	dev := small{cpu.New(1)}
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 1000 {
			return
		}
		e := NewEnv(NewVars(), dev)
		if _, err := show(e, src); err != nil {
			var at *Error
			if !errors.As(err, &at) {
				t.Fatalf("%q: error without a place: %v", src, err)
			}
			if line, _ := at.Line(); at.Column() < 1 || line < 1 || at.Caret() == "" {
				t.Fatalf("%q: place %d", src, at.Pos)
			}
		}
		e.Vars.Clear()
		if e.Sweep(); e.Bytes(dev) != 0 {
			t.Fatalf("%q: %d bytes leaked", src, e.Bytes(dev))
		}
	})
}
