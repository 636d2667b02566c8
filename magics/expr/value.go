package expr

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/llcuda/llcuda/tensor"
)

// A Value is what an expression gives and what a variable holds: int64,
// float64, bool, string, *Array, List, tensor.DType or tensor.Device.
type Value any

// A List is what brackets make, and a shape.
type List struct {
	Items []Value
	Tuple bool // written (1, 2), else [1, 2]
}

// An Array is a tensor as the language sees it. Nothing changes the numbers of
// an Array, so views may share memory freely.
type Array struct {
	t    *tensor.Tensor
	base *tensor.Tensor // what the device allocated; t is it or a view of it

	// flip says that the value is tᵀ. Products take either side as it lies,
	// so x @ W.T moves nothing, also where W is quantised.
	flip bool
}

// Shape of the value, outermost first.
func (a *Array) Shape() []int {
	s := slices.Clone(a.t.Shape)
	if a.flip {
		s[0], s[1] = s[1], s[0]
	}
	return s
}

// DType is the storage format.
func (a *Array) DType() tensor.DType { return a.t.DType }

// Device is where the numbers are.
func (a *Array) Device() tensor.Device { return a.t.Device }

// Bytes is the size of the numbers.
func (a *Array) Bytes() int { return a.t.Bytes() }

// String is a short description: "f32 (3, 4)".
func (a *Array) String() string {
	return fmt.Sprintf("%s %s", a.DType(), shapeString(a.Shape()))
}

// Vars is the notebook's table of variables. It is safe for concurrent use:
// completion reads it while a cell runs.
type Vars struct {
	mu sync.RWMutex
	m  map[string]Value
}

// NewVars returns an empty table.
func NewVars() *Vars { return &Vars{m: map[string]Value{}} }

// Get finds a variable.
func (v *Vars) Get(name string) (Value, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	x, ok := v.m[name]
	return x, ok
}

// Set gives a variable a value. Memory of the former value is freed by the
// next statement that an Env runs, or by its Sweep.
func (v *Vars) Set(name string, x Value) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.m[name] = x
}

// Delete forgets a variable and says whether it was there.
func (v *Vars) Delete(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.m[name]
	delete(v.m, name)
	return ok
}

// Clear forgets all variables.
func (v *Vars) Clear() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.m)
}

// Names lists the variables, sorted.
func (v *Vars) Names() []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.Sorted(maps.Keys(v.m))
}
