package cuda

import "unsafe"

// A Graph is work that a capture recorded, a GraphExec one that can be issued.
type (
	Graph     uintptr
	GraphExec uintptr
)

// StreamBeginCapture makes the stream record what is issued, instead of doing
// it, until StreamEndCapture. Other threads may go on with other streams.
func (d *Driver) StreamBeginCapture(s Stream) error {
	const relaxed = 2
	return d.call(beginCapture, uintptr(s), relaxed)
}

func (d *Driver) StreamEndCapture(s Stream) (Graph, error) {
	var g Graph
	err := d.call(endCapture, uintptr(s), uintptr(unsafe.Pointer(&g)))
	return g, err
}

func (d *Driver) GraphInstantiate(g Graph) (GraphExec, error) {
	var e GraphExec
	err := d.call(graphInstantiate, uintptr(unsafe.Pointer(&e)), uintptr(g), 0)
	return e, err
}

// GraphUpload prepares the first launch.
func (d *Driver) GraphUpload(e GraphExec, s Stream) error {
	return d.call(graphUpload, uintptr(e), uintptr(s))
}

func (d *Driver) GraphLaunch(e GraphExec, s Stream) error {
	return d.call(graphLaunch, uintptr(e), uintptr(s))
}

func (d *Driver) GraphDestroy(g Graph) error { return d.call(graphDestroy, uintptr(g)) }

func (d *Driver) GraphExecDestroy(e GraphExec) error { return d.call(graphExecDestroy, uintptr(e)) }
