package catalog

import "time"

// A Speed measures how fast bytes come, over the last few seconds. The zero
// value is ready.
type Speed struct {
	marks []mark // at least a second apart
	first mark
	last  mark
}

type mark struct {
	at   time.Time
	done int64
}

const speedMarks = 5

// Add notes that so many bytes are here now. Those of the first call were here
// before, and do not count.
func (s *Speed) Add(now time.Time, done int64) {
	s.last = mark{now, done}
	if s.first.at.IsZero() || done < s.first.done { // began anew
		s.first, s.marks = s.last, nil
	}
	if len(s.marks) == 0 || now.Sub(s.marks[len(s.marks)-1].at) >= time.Second {
		s.marks = append(s.marks, s.last)
		if len(s.marks) > speedMarks {
			s.marks = s.marks[1:]
		}
	}
}

// Rate is bytes a second, lately; 0 is not known yet.
func (s *Speed) Rate() float64 {
	if len(s.marks) == 0 {
		return 0
	}
	return rate(s.marks[0], s.last)
}

// Mean is bytes a second since the first call.
func (s *Speed) Mean() float64 { return rate(s.first, s.last) }

func rate(a, b mark) float64 {
	if took := b.at.Sub(a.at).Seconds(); took > 0.1 && b.done > a.done {
		return float64(b.done-a.done) / took
	}
	return 0
}

// Left is how long the rest of total will take; 0 is not known.
func (s *Speed) Left(total int64) time.Duration {
	if r := s.Rate(); r > 0 {
		return time.Duration(float64(total-s.last.done) / r * float64(time.Second)).Round(time.Second)
	}
	return 0
}
