package tokenizer

// groups splits by runs of numbers, each cut from its right end into groups of three (AFMoE, Tiny Aya).
// What lies before a run stays with its first group, as in llama.cpp; the next stage parts them.
func groups(s string, emit func(string)) {
	from := 0
	for i := 0; i < len(s); {
		c, n := classAt(s, i)
		if c&number == 0 {
			i += n
			continue
		}
		end := run(s, i, number)
		first := count(s[i:end]) % 3
		if first == 0 {
			first = 3
		}
		for i < end {
			i = runAtMost(s[:end], i, number, first)
			emit(s[from:i])
			from, first = i, 3
		}
	}
	if from < len(s) {
		emit(s[from:])
	}
}

// count returns the number of runes of s, which is valid UTF-8.
func count(s string) int {
	n := 0
	for range s {
		n++
	}
	return n
}

// thirds splits at (?=(\d{3})+(?!\d)), \d being 0-9: before each three digits, counted from the right end (SuperBPE).
func thirds(s string, emit func(string)) {
	from := 0
	for i := 0; i < len(s); {
		end := runBytes(s, i, "0123456789")
		if end == i {
			i++
			continue
		}
		for i += (end - i) % 3; i < end; i += 3 {
			if i > from {
				emit(s[from:i])
				from = i
			}
		}
	}
	if from < len(s) {
		emit(s[from:])
	}
}

// three matches [0-9][0-9][0-9].
func three(s string) int {
	if len(s) >= 3 && runBytes(s[:3], 0, "0123456789") == 3 {
		return 3
	}
	return 0
}
