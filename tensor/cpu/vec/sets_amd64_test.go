package vec

import "golang.org/x/sys/cpu"

type set struct {
	name  string
	loops loops
}

func sets() []set {
	all := []set{{"plain", plain}}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA && hasF16C() {
		all = append(all, set{"AVX2", withTails(8, &avx2)})
	}
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL {
		all = append(all, set{"AVX-512", withTails(16, &avx512)})
	}
	return all
}
