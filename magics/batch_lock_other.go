//go:build !unix

package magics

import "os"

func lock(*os.File) error { return nil }
