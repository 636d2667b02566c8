package magics

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/llcuda/llcuda/jupyter"
	"github.com/llcuda/llcuda/magics/expr"
)

func init() {
	register(Magic{Name: "tensor", Args: "STATEMENT", Doc: "computes with tensors: A = randn(2, 3), A @ B, A.shape", Line: true, Cell: true, Raw: true,
		Help: `%tensor A = randn(3, 4, dtype=f16, seed=7)    zeros ones full eye arange linspace rand randint tensor([[1, 2], [3, 4]])
%tensor A @ B                                 and + - * / **, elementwise, broadcast as in NumPy
%tensor A.sum(dim=0)                          mean max min prod argmax softmax exp log sqrt tanh relu silu gelu …
%tensor A[1:3], A[:, 0], A.T, A.reshape(2, -1)
%tensor A.shape                               dtype device numel nbytes
%tensor Q = A.to(q4_k)                        every type of GGUF files; A.to(cuda) moves
%tensor W = nf4(A)                            the same; bitsandbytes' types are nf4, fp4 and llm_int8
%tensor list                                  del A, print A, create A 3x4 f32
%%tensor takes one statement a line. Expressions show their value.`,
		Run: tensorMagic, Complete: completeTensor})
}

func tensorMagic(ctx context.Context, c *Call) error {
	src := strings.Join(c.Args, "")
	name, body := "%tensor ", src
	if c.Cell {
		if src != "" {
			return c.usage("the statements of a cell start on its second line")
		}
		name, body = "", c.Body
	}
	p, err := expr.Parse(body)
	if err != nil {
		return tensorError(err, name, 0)
	}
	if p.Empty() {
		return c.usage("nothing to compute")
	}
	c.env.Devices = c.devices.all()
	err = c.env.Run(ctx, p, func(v expr.Value, result, last bool) error {
		if text, ok := v.(string); ok && !result { // print
			_, err := c.Display.Stdout().Write([]byte(text))
			return err
		}
		b, err := c.bundle(v)
		switch {
		case err != nil:
			return err
		case result && last && c.Last:
			c.Display.Result(b)
		default:
			c.Display.Show(b)
		}
		return nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	first := 0
	if c.Cell {
		first = 1
	}
	return tensorError(err, name, first)
}

// bundle is a value as the notebook shows it.
func (in *Interpreter) bundle(v expr.Value) (jupyter.Bundle, error) {
	text, err := in.env.Text(v)
	if err != nil {
		return nil, err
	}
	b := jupyter.Bundle{"text/plain": text}
	html, ok, err := in.env.HTML(v)
	if ok {
		b["text/html"] = html
	}
	return b, err
}

// tensorError shows the place of a mistake: the line, which prefix stands
// before, and a caret below it.
func tensorError(err error, prefix string, firstLine int) error {
	if err == nil {
		return nil
	}
	e := &jupyter.Error{Name: "TensorError", Value: err.Error()}
	var at *expr.Error
	if errors.As(err, &at) {
		line, _ := at.Line()
		place := ""
		if strings.Contains(strings.TrimSpace(at.Src), "\n") {
			place = fmt.Sprintf("line %d, ", line+firstLine)
		}
		e.Value = fmt.Sprintf("%scolumn %d: %s", place, at.Column()+len([]rune(prefix)), at.Msg)
		source, caret, _ := strings.Cut(at.Caret(), "\n")
		e.Traceback = []string{prefix + source, strings.Repeat(" ", len([]rune(prefix))) + caret, e.Error()}
	}
	return e
}
