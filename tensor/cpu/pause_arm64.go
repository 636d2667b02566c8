package cpu

// pause tells the core that we are spinning (YIELD).
//
//go:noescape
func pause()
