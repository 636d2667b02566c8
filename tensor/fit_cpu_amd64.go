package tensor

import "golang.org/x/sys/cpu"

//go:generate sh -c "cd gen && go run . -out ../fit_amd64.s -stubs ../fit_amd64.go -pkg tensor"

var hasAVX2 = cpu.X86.HasAVX2
