package expr

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/llcuda/llcuda/tensor"
)

// Functions that make tensors.

const creationArgs = "dtype device"

func init() {
	register(
		Function{Name: "zeros", Usage: "zeros(2, 3, dtype=f32, device=cpu)", Doc: "a tensor of zeros", named: creationArgs,
			run: func(r *run, a *arguments) (Value, error) { return r.filled(a, int64(0)) }},
		Function{Name: "ones", Usage: "ones(2, 3, dtype=f32, device=cpu)", Doc: "a tensor of ones", named: creationArgs,
			run: func(r *run, a *arguments) (Value, error) { return r.filled(a, int64(1)) }},
		Function{Name: "full", Usage: "full((2, 3), value, dtype=f32, device=cpu)", Doc: "a tensor of one value", named: creationArgs, run: full},
		Function{Name: "eye", Usage: "eye(n, m, dtype=f32, device=cpu)", Doc: "ones on the diagonal, zeros elsewhere", named: creationArgs, run: eye},
		Function{Name: "arange", Usage: "arange(start, end, step, dtype=…, device=cpu)", Doc: "the numbers from start up to, not including, end", named: creationArgs, run: arange},
		Function{Name: "linspace", Usage: "linspace(start, end, steps, dtype=f32, device=cpu)", Doc: "so many numbers at equal distances, both ends included", named: creationArgs, run: linspace},
		Function{Name: "tensor", Usage: "tensor([[1, 2], [3, 4]], dtype=…, device=cpu)", Doc: "a tensor of the numbers in a list", named: creationArgs, run: fromList},
		Function{Name: "randn", Usage: "randn(2, 3, dtype=f32, seed=7, device=cpu)", Doc: "normally distributed numbers (mean 0, variance 1)", named: "dtype device seed",
			run: func(r *run, a *arguments) (Value, error) { return r.random(a, 0, nil) }},
		Function{Name: "rand", Usage: "rand(2, 3, dtype=f32, seed=7, device=cpu)", Doc: "evenly distributed numbers from 0 to 1", named: "dtype device seed",
			run: func(r *run, a *arguments) (Value, error) { return r.random(a, 0, uniform) }},
		Function{Name: "randint", Usage: "randint(low, high, (2, 3), dtype=i64, seed=7, device=cpu)", Doc: "random integers from low up to, not including, high", named: "dtype device seed", run: randint},
		Function{Name: "manual_seed", Usage: "manual_seed(7)", Doc: "makes the random tensors that follow the same in every run", named: "seed", run: manualSeed},
	)
}

func (a *arguments) dtypeOr(d tensor.DType) tensor.DType {
	if t := a.dtype(); t != nil {
		return *t
	}
	return d
}

func (r *run) filled(a *arguments, v Value) (Value, error) {
	shape, dev, d := a.dims(), a.device(), a.dtypeOr(tensor.F32)
	if err := a.finish(); err != nil {
		return nil, err
	}
	return r.full(dev, d, v, shape...)
}

func full(r *run, a *arguments) (Value, error) {
	var shape []int
	switch v := a.value("shape").(type) {
	case int64:
		shape = []int{int(v)}
	case List:
		b := *a
		b.pos, b.next = []Value{v}, 0
		shape, a.err = b.dims(), b.err
	default:
		a.fail("the shape is a list of integers, not %s", r.brief(v))
	}
	v := a.value("value")
	if v != nil && !isScalar(v) {
		a.fail("the value is a number, not %s", r.brief(v))
	}
	d, dev := a.dtypeOr(typeOf(v)), a.device()
	if err := a.finish(); err != nil {
		return nil, err
	}
	return r.full(dev, d, asNumber(v), shape...)
}

// typeOf is the type of a tensor made of numbers like v.
func typeOf(v Value) tensor.DType {
	if _, ok := v.(float64); ok {
		return tensor.F32
	}
	return tensor.I64
}

func eye(r *run, a *arguments) (Value, error) {
	n := a.int("n", nil)
	m := a.int("m", &n)
	dev, d := a.device(), a.dtypeOr(tensor.F32)
	if err := a.finish(); err != nil {
		return nil, err
	}
	return r.generate(dev, d, func(lo, hi int) numbers {
		x := numbers{floats: make([]float64, hi-lo)}
		for i := range x.floats {
			if at := int64(lo + i); at/m == at%m {
				x.floats[i] = 1
			}
		}
		return x
	}, int(n), int(m))
}

func arange(r *run, a *arguments) (Value, error) {
	var ends []Value
	for a.next < len(a.pos) && len(ends) < 3 {
		v := asNumber(a.value("end"))
		if !isScalar(v) {
			a.fail("want numbers, not %s", r.brief(v))
		}
		ends = append(ends, v)
	}
	start, step := Value(int64(0)), Value(int64(1))
	switch len(ends) {
	case 0:
		a.fail("the end is missing")
	case 1:
		ends = []Value{start, ends[0]}
	case 3:
		step = ends[2]
	}
	dev := a.device()
	asked := a.dtype()
	if err := a.finish(); err != nil {
		return nil, err
	}
	return r.arange(dev, asked, ends[0], ends[1], step)
}

func (r *run) arange(dev tensor.Device, asked *tensor.DType, start, end, step Value) (Value, error) {
	lo, hi, by := toFloat(start), toFloat(end), toFloat(step)
	count := math.Ceil((hi - lo) / by)
	switch {
	case by == 0 || count != count || math.IsInf(lo, 0):
		return nil, fmt.Errorf("arange: no numbers lead from %v to %v in steps of %v", start, end, step)
	case count < 0:
		return nil, fmt.Errorf("arange: steps of %v do not lead from %v to %v", step, start, end)
	case count > 1<<40:
		return nil, fmt.Errorf("arange: %.0f numbers are too many", count)
	}
	from, ok1 := start.(int64)
	stride, ok2 := step.(int64)
	_, ok3 := end.(int64)
	ints := ok1 && ok2 && ok3
	d := tensor.F32
	if ints {
		d = tensor.I64
	}
	if asked != nil {
		d = *asked
	}
	return r.generate(dev, d, func(first, end int) (x numbers) {
		for i := first; i < end; i++ {
			if ints {
				x.ints = append(x.ints, from+int64(i)*stride)
			} else {
				x.floats = append(x.floats, lo+float64(i)*by)
			}
		}
		return x
	}, int(count))
}

func linspace(r *run, a *arguments) (Value, error) {
	lo, hi := asNumber(a.value("start")), asNumber(a.value("end"))
	n := a.int("steps", nil)
	dev, d := a.device(), a.dtypeOr(tensor.F32)
	if a.err == nil && (!isScalar(lo) || !isScalar(hi)) {
		a.fail("want numbers")
	}
	if err := a.finish(); err != nil {
		return nil, err
	}
	from, to := toFloat(lo), toFloat(hi)
	return r.generate(dev, d, func(first, end int) (x numbers) {
		for i := first; i < end; i++ {
			v := from
			if i > 0 {
				v += (to - from) * (float64(i) / float64(n-1))
			}
			x.floats = append(x.floats, v)
		}
		return x
	}, int(n))
}

func fromList(r *run, a *arguments) (Value, error) {
	v, asked, dev := a.value("numbers"), a.dtype(), a.device()
	if err := a.finish(); err != nil {
		return nil, err
	}
	return r.literal(v, asked, dev)
}

// literal makes a tensor of a number or of nested lists of numbers.
func (r *run) literal(v Value, asked *tensor.DType, dev tensor.Device) (Value, error) {
	if x, ok := v.(*Array); ok {
		x, err := r.move(x, dev)
		if err == nil && asked != nil {
			x, err = r.convert(x, *asked)
		}
		return x, err
	}
	shape, flat, err := r.flatten(v, nil)
	if err != nil {
		return nil, err
	}
	x := numbers{ints: make([]int64, len(flat))}
	d := tensor.I64
	if len(flat) == 0 {
		d = tensor.F32
	}
	for i, v := range flat {
		if f, ok := v.(float64); ok && x.ints != nil {
			x.floats, d = make([]float64, len(flat)), tensor.F32
			for j := range i {
				x.floats[j] = float64(x.ints[j])
			}
			x.ints, x.floats[i] = nil, f
		} else if x.ints != nil {
			x.ints[i] = v.(int64)
		} else {
			x.floats[i] = toFloat(v)
		}
	}
	if asked != nil {
		d = *asked
	}
	return r.place(dev, d, x, shape...)
}

// flatten appends the numbers of nested lists and returns their shape.
func (r *run) flatten(v Value, flat []Value) ([]int, []Value, error) {
	v = asNumber(v)
	l, ok := v.(List)
	if !ok {
		if !isScalar(v) {
			return nil, nil, fmt.Errorf("tensor: want numbers in lists, not %s", r.brief(v))
		}
		return nil, append(flat, v), nil
	}
	shape := []int{len(l.Items)}
	for i, x := range l.Items {
		sub, more, err := r.flatten(x, flat)
		if err != nil {
			return nil, nil, err
		}
		flat = more
		if i == 0 {
			shape = append(shape, sub...)
		} else if shapeString(sub) != shapeString(shape[1:]) {
			return nil, nil, fmt.Errorf("tensor: the lists do not fit together: entry 0 has shape %s, entry %d %s",
				shapeString(shape[1:]), i, shapeString(sub))
		}
	}
	return shape, flat, nil
}

func (r *run) seed(a *arguments) uint64 {
	fresh := int64(r.rng.Uint64() >> 1)
	if v, ok := a.named["seed"]; ok && v != nil {
		return uint64(a.int("seed", &fresh))
	}
	return uint64(fresh)
}

func uniform(rng *rand.Rand) Value { return float64(rng.Uint32()>>8) / (1 << 24) }

// random makes a tensor of draws, or of the device's normal numbers.
func (r *run) random(a *arguments, fallback tensor.DType, draw func(*rand.Rand) Value) (Value, error) {
	shape, dev, d, seed := a.dims(), a.device(), a.dtypeOr(fallback), r.seed(a)
	if err := a.finish(); err != nil {
		return nil, err
	}
	if draw != nil {
		return r.drawn(dev, d, seed, draw, shape)
	}
	x, err := r.alloc(dev, tensor.F32, shape...)
	if err != nil {
		return nil, err
	}
	if x.t.Len() > 0 {
		s := r.stream(dev)
		s.Random(x.t, seed)
		if err := s.Err(); err != nil {
			return nil, err
		}
	}
	return r.convert(x, d)
}

func (r *run) drawn(dev tensor.Device, d tensor.DType, seed uint64, draw func(*rand.Rand) Value, shape []int) (Value, error) {
	rng := rand.New(rand.NewPCG(seed, 0))
	return r.generate(dev, d, func(lo, hi int) (x numbers) {
		for range hi - lo {
			switch v := draw(rng).(type) {
			case int64:
				x.ints = append(x.ints, v)
			case float64:
				x.floats = append(x.floats, v)
			}
		}
		return x
	}, shape...)
}

func randint(r *run, a *arguments) (Value, error) {
	lo, hi := a.int("low", nil), a.int("high", nil)
	if a.err == nil && (hi <= lo || hi-lo < 0) {
		a.fail("no integers from %d up to %d", lo, hi)
	}
	return r.random(a, tensor.I64, func(rng *rand.Rand) Value { return lo + rng.Int64N(hi-lo) })
}

func manualSeed(r *run, a *arguments) (Value, error) {
	seed := a.int("seed", nil)
	if err := a.finish(); err != nil {
		return nil, err
	}
	r.Env.rng = rand.New(rand.NewPCG(uint64(seed), 1))
	return nil, nil
}
