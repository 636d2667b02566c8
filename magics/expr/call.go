package expr

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/llcuda/llcuda/tensor"
)

// A Function is one that can be called by name. Completion, inspection and
// error messages are made from its description.
type Function struct {
	Name  string
	Usage string // "zeros(dim, …, dtype=f32, device=cpu)"
	Doc   string // one line

	method bool   // A.name(…) is name(A, …)
	named  string // arguments that may be named, separated by spaces
	run    func(r *run, a *arguments) (Value, error)
}

// Functions lists all functions by name.
func Functions() []*Function {
	return slices.SortedFunc(maps.Values(functions), func(a, b *Function) int { return strings.Compare(a.Name, b.Name) })
}

// Lookup finds a function by name, nil if there is none.
func Lookup(name string) *Function { return functions[name] }

var functions = map[string]*Function{}

func register(fs ...Function) {
	for _, f := range fs {
		functions[f.Name] = &f
	}
}

// arguments of a call. Its methods take one each; the first mistake is err.
type arguments struct {
	r     *run
	fn    *Function
	pos   []Value
	named map[string]Value
	next  int // of pos
	err   error
}

func (r *run) call(n *call) (Value, error) {
	fn, self, err := r.callee(n)
	if err != nil {
		return nil, err
	}
	a := &arguments{r: r, fn: fn, named: map[string]Value{}}
	if a.pos, err = r.evalAll(n.args); err != nil {
		return nil, err
	}
	if self != nil {
		a.pos = slices.Insert(a.pos, 0, self)
	}
	for _, arg := range n.named {
		allowed := strings.Fields(fn.named)
		if _, twice := a.named[arg.name]; twice || !slices.Contains(allowed, arg.name) {
			hint := "it takes none by name"
			if len(allowed) > 0 {
				hint = "it takes " + strings.Join(allowed, ", ")
			}
			if twice {
				hint = "it was given twice"
			}
			return nil, errorAt(r.src, arg.at(), "%s: argument %s: %s; %s", fn.Name, arg.name, hint, fn.Usage)
		}
		if a.named[arg.name], err = r.eval(arg.x); err != nil {
			return nil, err
		}
	}
	v, err := fn.run(r, a)
	if err == nil {
		err = a.finish()
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// callee resolves what is called: a function, a method, a data type.
func (r *run) callee(n *call) (fn *Function, self Value, err error) {
	switch f := n.fn.(type) {
	case *name:
		if fn := functions[f.id]; fn != nil {
			return fn, nil, nil
		}
		if d, err := tensor.ParseDType(f.id); err == nil {
			return conversion(f.id, d), nil, nil
		}
		known := slices.Collect(maps.Keys(functions))
		return nil, nil, errorAt(r.src, f.at(), "no function %s; %s", f.id, suggest(f.id, known, "%help tensor lists them"))
	case *attr:
		if self, err = r.eval(f.x); err != nil {
			return nil, nil, err
		}
		if fn := functions[f.id]; fn != nil && fn.method {
			return fn, self, nil
		}
		if d, err := tensor.ParseDType(f.id); err == nil {
			return conversion(f.id, d), self, nil
		}
		if _, ok := attributes[f.id]; ok {
			return &Function{Name: f.id, Usage: "A." + f.id, run: func(r *run, a *arguments) (Value, error) {
				x := a.array()
				if err := a.finish(); err != nil {
					return nil, err
				}
				return r.attribute(f.id, x)
			}}, self, nil
		}
		return nil, nil, errorAt(r.src, f.at(), "tensors have no method %s; %s", f.id, suggest(f.id, members(), "try A.shape, A.sum()"))
	}
	return nil, nil, fmt.Errorf("this cannot be called")
}

// conversion is the function that a data type's name is: q4_k(A).
func conversion(id string, d tensor.DType) *Function {
	return &Function{Name: id, Usage: id + "(A)", run: func(r *run, a *arguments) (Value, error) {
		switch x := a.value("A").(type) {
		case *Array:
			return r.convert(x, d)
		case int64, float64, bool, List:
			return r.literal(x, &d, r.Devices[0])
		case nil:
			return nil, a.err
		default:
			return nil, fmt.Errorf("%s: want a tensor, not %s", id, r.brief(x))
		}
	}}
}

func suggest(id string, known []string, otherwise string) string {
	if c := Closest(id, known); c != "" {
		return "did you mean " + c + "?"
	}
	return otherwise
}

// members are the names that may follow a tensor's point.
func members() []string {
	names := slices.Collect(maps.Keys(attributes))
	for id, f := range functions {
		if f.method {
			names = append(names, id)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Members lists the attributes and methods of tensors.
func Members() []string { return members() }

func (a *arguments) fail(format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(a.fn.Name+": "+format+"; "+strings.ReplaceAll(a.fn.Usage, "%", "%%"), args...)
	}
}

// finish refuses what nobody took.
func (a *arguments) finish() error {
	if a.err == nil && a.next < len(a.pos) {
		a.fail("%d arguments are too many", len(a.pos))
	}
	return a.err
}

// value takes the next argument, by place or by name; nil if it is missing.
func (a *arguments) value(name string) Value {
	v := a.optional(name)
	if v == nil {
		a.fail("%s is missing", name)
	}
	return v
}

func (a *arguments) optional(name string) Value {
	if v, ok := a.named[name]; ok {
		return v
	}
	if a.next < len(a.pos) {
		a.next++
		return a.pos[a.next-1]
	}
	return nil
}

// array takes a tensor; nil after a mistake, which finish reports.
func (a *arguments) array() *Array {
	v := a.value("A")
	if x, ok := v.(*Array); ok {
		return x
	}
	if v != nil {
		a.fail("want a tensor, not %s", a.r.brief(v))
	}
	return nil
}

func (a *arguments) int(name string, otherwise *int64) int64 {
	v := a.optional(name)
	switch v := v.(type) {
	case int64:
		return v
	case bool:
	case nil:
		if otherwise != nil {
			return *otherwise
		}
		a.fail("%s is missing", name)
		return 0
	}
	a.fail("%s is an integer, not %s", name, a.r.brief(v))
	return 0
}

// dim takes an optional dimension.
func (a *arguments) dim() *int {
	if a.next >= len(a.pos) {
		if _, ok := a.named["dim"]; !ok {
			return nil
		}
	}
	d := int(a.int("dim", nil))
	return &d
}

func (a *arguments) bool(name string) bool {
	v, ok := a.named[name]
	if !ok {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		a.fail("%s is true or false, not %s", name, a.r.brief(v))
	}
	return b
}

// dims takes all remaining arguments as a shape: 2, 3 or (2, 3).
func (a *arguments) dims() []int {
	vs := a.pos[min(a.next, len(a.pos)):]
	a.next = len(a.pos)
	if len(vs) == 1 {
		if l, ok := vs[0].(List); ok {
			vs = l.Items
		}
	}
	shape := make([]int, len(vs))
	for i, v := range vs {
		n, ok := v.(int64)
		if !ok {
			a.fail("dimension %d is an integer, not %s", i, a.r.brief(v))
		}
		shape[i] = int(n)
	}
	return shape
}

// dtype takes dtype=…; nil if it is not given.
func (a *arguments) dtype() *tensor.DType {
	switch v := a.named["dtype"].(type) {
	case nil:
	case tensor.DType:
		return &v
	case string:
		if d, err := tensor.ParseDType(v); err == nil {
			return &d
		}
		a.fail("no data type %q", v)
	default:
		a.fail("dtype is a type like f16, not %s", a.r.brief(v))
	}
	return nil
}

// device takes device=…, else the default one.
func (a *arguments) device() tensor.Device {
	switch v := a.named["device"].(type) {
	case nil:
	case tensor.Device:
		return v
	case string:
		if d := a.r.device(v); d != nil {
			return d
		}
		a.fail("no device %q; there is %s", v, a.r.deviceNames())
	default:
		a.fail("device is a device like %s, not %s", a.r.deviceNames(), a.r.brief(v))
	}
	return a.r.Devices[0]
}
