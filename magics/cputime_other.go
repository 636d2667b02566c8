//go:build !unix

package magics

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
