//go:build !linux || !cgo

package nvml

// Cards needs cgo and Linux.
func Cards() ([]Card, error) {
	if err := hidden(); err != nil {
		return nil, err
	}
	return nil, ErrNoSupport
}
