package cpu

// pause tells the core that we are spinning (PAUSE).
//
//go:noescape
func pause()
