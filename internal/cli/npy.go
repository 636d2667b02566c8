package cli

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// An npyWriter writes a float32 matrix in NumPy's format, version 1.0, row by
// row (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
type npyWriter struct {
	w    *bufio.Writer
	cols int
	row  []byte
}

// newNPY starts a (rows, cols) matrix.
func newNPY(w io.Writer, rows, cols int) (*npyWriter, error) {
	dict := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows, cols)
	// Magic, version and length take 10 bytes; data begins at a multiple of 64.
	dict += strings.Repeat(" ", 63-(10+len(dict))%64) + "\n"
	b := bufio.NewWriterSize(w, 1<<20)
	b.WriteString("\x93NUMPY\x01\x00")
	b.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(dict))))
	_, err := b.WriteString(dict)
	return &npyWriter{b, cols, make([]byte, 4*cols)}, err
}

// Row appends one row of cols numbers. A failure is returned by Flush.
func (n *npyWriter) Row(values []float32) {
	for i, v := range values[:n.cols] {
		binary.LittleEndian.PutUint32(n.row[4*i:], math.Float32bits(v))
	}
	n.w.Write(n.row)
}

// Flush writes what is buffered and returns the first failure.
func (n *npyWriter) Flush() error { return n.w.Flush() }
