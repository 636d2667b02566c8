package cuda

import (
	"time"
	"unsafe"
)

// A Stream is a queue of work of the current device.
type Stream uintptr

// StreamCreate makes a stream that does not wait for the default one.
func (d *Driver) StreamCreate() (Stream, error) {
	const nonBlocking = 1
	var s Stream
	err := d.call(streamCreate, uintptr(unsafe.Pointer(&s)), nonBlocking)
	return s, err
}

func (d *Driver) StreamDestroy(s Stream) error { return d.call(streamDestroy, uintptr(s)) }

// StreamSynchronize waits until all that was issued is done.
func (d *Driver) StreamSynchronize(s Stream) error { return d.call(streamSynchronize, uintptr(s)) }

// StreamQuery is nil when all is done, an error of code NotReady before.
func (d *Driver) StreamQuery(s Stream) error { return d.call(streamQuery, uintptr(s)) }

// An Event is a mark in a stream.
type Event uintptr

// EventCreate makes an event, one that takes the time or a cheaper one.
func (d *Driver) EventCreate(timing bool) (Event, error) {
	flags := uintptr(2)
	if timing {
		flags = 0
	}
	var e Event
	err := d.call(eventCreate, uintptr(unsafe.Pointer(&e)), flags)
	return e, err
}

func (d *Driver) EventDestroy(e Event) error { return d.call(eventDestroy, uintptr(e)) }

func (d *Driver) EventRecord(e Event, s Stream) error {
	return d.call(eventRecord, uintptr(e), uintptr(s))
}

// EventSynchronize waits until the stream has come to where the event was last
// recorded; it returns at once for one that never was.
func (d *Driver) EventSynchronize(e Event) error { return d.call(eventSynchronize, uintptr(e)) }

// EventElapsed is the time between two events that have happened.
func (d *Driver) EventElapsed(from, to Event) (time.Duration, error) {
	var ms float32
	err := d.call(eventElapsed, uintptr(unsafe.Pointer(&ms)), uintptr(from), uintptr(to))
	return time.Duration(float64(ms) * 1e6), err
}
