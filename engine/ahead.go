package engine

import "github.com/llcuda/llcuda/tensor"

// A greedy step leaves its token where the next step looks for it, so that the
// next one can be issued before the host has seen the token: the device goes
// from step to step, and the host reads and shows a token meanwhile. A step
// that turns out to be wrong (the text ends, or goes on otherwise) has only
// written a place of the cache that the next token writes again.

// newFetches asks a device that holds the whole model for what this needs.
func (s *Session) newFetches() error {
	d, ok := s.mem.dev.(tensor.Fetcher)
	if !ok || len(s.stages) > 1 {
		return nil
	}
	for i := range s.fetches {
		f, err := d.NewFetch(len(s.word))
		if err != nil {
			return err
		}
		s.fetches[i] = f
	}
	return nil
}

// flown says whether the step of the next token was issued already.
func (s *Session) flown(end ending) bool {
	return s.feeds(end) && s.flying == s.cached && s.chosen == s.tokens[s.cached]
}

// flyOn makes the step that was issued ahead that of the token at s.cached.
func (s *Session) flyOn(end ending) error {
	s.flying, s.fed, s.fetching = -1, s.cached+1, true
	return s.flyAhead(end)
}

// send begins to fetch the token of the step at s.cached, which was issued
// just now, and may issue the next one.
func (s *Session) send(end ending) error {
	if s.fetches[0] == nil {
		return nil
	}
	if err := s.fetches[s.cached&1].Start(s.best); err != nil {
		return err
	}
	s.fetching = true
	return s.flyAhead(end)
}

// flyAhead issues the step after that at s.cached, if one is wanted and fits.
func (s *Session) flyAhead(end ending) error {
	next := s.cached + 1
	if !s.ahead || next >= s.m.net.context {
		return nil
	}
	st := s.last()
	p, err := s.program(st, end)
	if err != nil {
		return err
	}
	st.s.Run(p)
	if err := st.s.Err(); err != nil {
		return err
	}
	s.flying, s.fed = next, -1
	s.reach = max(s.reach, next+1)
	return s.fetches[next&1].Start(s.best)
}
