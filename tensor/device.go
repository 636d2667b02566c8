package tensor

import "errors"

// A Device owns memory and executes operations. It has two implementations:
// tensor/cpu and kernels (CUDA).
//
// Operations reach it through a Stream, which has checked the operands; a
// device need not check them again. Do may return before the operation has
// finished; later operations of the same device see its result, the host sees
// it after Sync. Nothing on the way of Do allocates device memory.
type Device interface {
	// Name is how users call it: "cpu", "cuda:0".
	Name() string

	// Memory is what the device has free and in all, in bytes.
	Memory() (free, total int64)

	// New allocates a tensor of zeros. It fails with ErrNoMemory.
	New(d DType, shape ...int) (*Tensor, error)

	// Place puts constant numbers on the device, in the form that its
	// products like best. The host's device returns a view of data without
	// copying: data must then outlive the tensor.
	Place(name string, d DType, shape []int, data []byte) (*Tensor, error)

	// Free returns what New or Place took. Views of t are dead after it.
	Free(t *Tensor)

	// Write copies host bytes into t, Read copies t into host bytes. Both
	// come after all operations issued before, and are complete on return.
	Write(t *Tensor, src []byte) error
	Read(dst []byte, t *Tensor) error

	// Do issues one operation. An operation that the device does not have is
	// refused with ErrUnsupported.
	Do(op *Op) error

	// Compile makes a recorded list of operations fast to repeat. The list
	// and its tensors belong to the program from then on.
	Compile(ops []Op) (Program, error)

	// Sync waits for everything issued and returns the first failure.
	Sync() error
}

// A Program is one recorded step, for instance one token through a model. The
// operands are fixed: what changes from run to run (token ids, positions) lies
// in tensors that the operations read.
//
// A device may fuse operations, and so leave a tensor unwritten that one
// operation of the list writes and a later one reads. After Run there are the
// results that no later operation reads, and all that ArgMax, TopK, Convert
// and Store write.
type Program interface {
	// Run issues the step, like Do.
	Run() error
	// Free returns what the program holds on the device, not its tensors.
	Free()
}

// A Fetcher is a Device that hands a result to the host while it goes on with
// later work.
type Fetcher interface {
	// NewFetch is for tensors of so many bytes, which are few.
	NewFetch(bytes int) (Fetch, error)
}

// A Fetch is one copy at a time from the device to the host.
type Fetch interface {
	// Start issues the copy of t, which comes after all operations issued
	// before.
	Start(t *Tensor) error
	// Wait waits for the copy, but for nothing that was issued after it, and
	// returns it in dst. Failures are those of Sync.
	Wait(dst []byte) error
	Free()
}

var (
	// ErrNoMemory says that the device cannot hold what was asked for.
	ErrNoMemory = errors.New("out of device memory")
	// ErrUnsupported says that the device lacks an operation for these types.
	ErrUnsupported = errors.New("operation not supported by the device")
)

// Replay is the Program of a device that has nothing faster: Do in order.
func Replay(dev Device, ops []Op) Program { return &replay{dev, ops} }

type replay struct {
	dev Device
	ops []Op
}

func (r *replay) Run() error {
	for i := range r.ops {
		if err := r.dev.Do(&r.ops[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) Free() {}
