package kernels

import "github.com/llcuda/llcuda/tensor"

// teams are the launch of a kernel that works on rows (team.cuh): blocks,
// threads of each, and threads of a row.
func (d *Device) teams(rows, cols int) (grid, block, lanes int) {
	switch {
	case cols <= 512:
		return ceil(rows, 8), 256, 32
	case rows < 2*d.sms() && cols > 1024: // few rows: as fast as one goes
		return rows, 1024, 1024
	}
	return rows, 256, 256
}

// teamsAlike are teams whose sums have one order for any number of rows.
func (d *Device) teamsAlike(alike tensor.Alike, rows, cols int) (grid, block, lanes int) {
	typical := rows
	switch alike {
	case tensor.AlikeFew, tensor.AlikeSome:
		typical = 1
	case tensor.AlikeMany:
		typical = 2 * d.sms()
	}
	grid, block, lanes = d.teams(typical, cols)
	return ceil(rows*lanes, block), block, lanes
}

// wide says whether kernels can take 16 bytes at a time from all tensors,
// nil ones left out.
func wide(tensors ...*tensor.Tensor) int32 {
	for _, t := range tensors {
		if ptr(t)%16 != 0 {
			return 0
		}
	}
	return 1
}

// wideRows is wide for rows of float32.
func wideRows(cols int, tensors ...*tensor.Tensor) int32 {
	if cols%4 != 0 {
		return 0
	}
	return wide(tensors...)
}

// spread is the launch of a kernel whose grid walks over n numbers, 4 a thread
// at a time.
func (d *Device) spread(n int) (grid, block int) {
	return min(ceil(n, 4*256), 8*d.sms()), 256
}
