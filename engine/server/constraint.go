package server

import (
	"github.com/llcuda/llcuda/engine"
	"github.com/llcuda/llcuda/internal/openai"
)

// constraint returns what binds a text to a format or a grammar: a new one for
// each text, nil where everything is allowed.
func (s *Server) constraint(f *openai.ResponseFormat, grammar string) (func() engine.Constraint, error) {
	if grammar != "" {
		return nil, openai.Invalid("grammar", openai.CodeUnsupported, "'grammar' is not supported yet.")
	}
	if f != nil && f.Type != "text" {
		return nil, openai.Invalid("response_format", openai.CodeUnsupported, "'response_format' of type '%s' is not supported yet.", f.Type)
	}
	return func() engine.Constraint { return nil }, nil
}

func (c *conversation) constraint() (func() engine.Constraint, error) {
	return c.server.constraint(c.q.ResponseFormat, c.q.Grammar)
}
