//go:build !linux && !darwin && !freebsd && !windows

package disk

import "math"

func free(string) (int64, error) { return math.MaxInt64, nil }

func isFull(error) bool { return false }
