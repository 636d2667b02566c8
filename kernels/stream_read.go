package kernels

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/llcuda/llcuda/tensor"
)

type streamReadArgs struct {
	x, out uint64
	bytes  int64
}

var _ = mirror(streamReadArgs{}, "stream_read")

// StreamRead measures how fast the card reads memory, in GB/s: so many bytes,
// or as many as fit, in the best of ten runs.
func (d *Device) StreamRead(bytes int64) (gbPerSecond float64, err error) {
	free, _ := d.Memory()
	n := int(min(bytes, free/10*9)) &^ 0xffff
	if n <= 0 {
		return 0, fmt.Errorf("%s: stream read: %d bytes are free: %w", d.name, free, tensor.ErrNoMemory)
	}
	x, err := d.New(tensor.F32, n/4)
	if err != nil {
		return 0, err
	}
	defer d.Free(x)
	args := streamReadArgs{x: ptr(x), out: ptr(x), bytes: int64(n)}
	var best time.Duration
	for range 10 {
		took, err := d.Time(func() error {
			if err := d.enter("stream read"); err != nil {
				return err
			}
			defer d.leave()
			return d.launch("stream_read", 4*d.sms(), 512, 0, unsafe.Pointer(&args))
		})
		if err != nil {
			return 0, err
		}
		if best == 0 || took < best {
			best = took
		}
	}
	if best <= 0 {
		return 0, errors.New("kernels: stream read: the card's clock stood still")
	}
	return float64(n) / best.Seconds() / 1e9, nil
}
