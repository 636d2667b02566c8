package server

import (
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/llcuda/llcuda/engine/tokenizer"
	"github.com/llcuda/llcuda/internal/openai"
)

// tokenizeRequest has the fields of llama-server (content) and of vLLM
// (prompt).
type tokenizeRequest struct {
	Model            string  `json:"model"`
	Content          *string `json:"content"`
	Prompt           *string `json:"prompt"`
	AddSpecial       *bool   `json:"add_special"`        // BOS, where the model wants it
	AddSpecialTokens *bool   `json:"add_special_tokens"` // the same with vLLM
	ParseSpecial     *bool   `json:"parse_special"`      // control tokens written in the text are such
}

type tokenizeResponse struct {
	Tokens      []int32 `json:"tokens"`
	Count       int     `json:"count"`
	MaxModelLen int     `json:"max_model_len"`
}

// maxTokenize bounds the characters of a text: its tokens take a hundred times
// its memory.
const maxTokenize = 1 << 20

func (s *Server) tokenize(w *response, r *http.Request) error {
	var q tokenizeRequest
	var ids []int32
	err := s.readFor(w, r, &q, &q.Model, func() (err error) {
		ids, err = s.tokens(&q)
		return err
	})
	if err != nil {
		return err
	}
	return w.json(http.StatusOK, tokenizeResponse{ids, len(ids), s.o.Model.Info().Context})
}

func (s *Server) tokens(q *tokenizeRequest) ([]int32, error) {
	text, name := q.Content, "content"
	if text == nil {
		text, name = q.Prompt, "prompt"
	}
	if text == nil {
		return nil, openai.Invalid("content", "missing_required_parameter", "Missing required parameter: 'content'.")
	}
	if n := utf8.RuneCountInString(*text); n > maxTokenize {
		return nil, openai.Invalid(name, "string_above_max_length", "Invalid '%s': it has %d characters, at most %d are allowed; send it in parts.", name, n, maxTokenize)
	}
	add := q.AddSpecial
	if add == nil {
		add = q.AddSpecialTokens
	}
	o := tokenizer.Options{Special: q.ParseSpecial == nil || *q.ParseSpecial, NoBOS: add == nil || !*add, NoEOS: true}
	ids := s.o.Model.Tokenizer().Encode(*text, o)
	if ids == nil {
		ids = []int32{}
	}
	return ids, nil
}

type detokenizeRequest struct {
	Model  string              `json:"model"`
	Tokens *openai.List[int32] `json:"tokens"`
}

// detokenizeResponse has the text under both servers' names.
type detokenizeResponse struct {
	Content string `json:"content"`
	Prompt  string `json:"prompt"`
}

func (s *Server) detokenize(w *response, r *http.Request) error {
	var q detokenizeRequest
	err := s.readFor(w, r, &q, &q.Model, func() error {
		if q.Tokens == nil {
			return openai.Invalid("tokens", "missing_required_parameter", "Missing required parameter: 'tokens'.")
		}
		vocab := s.o.Model.Info().Vocab
		for i, id := range *q.Tokens {
			if id < 0 || int(id) >= vocab {
				name := fmt.Sprintf("tokens[%d]", i)
				return openai.Invalid(name, "invalid_value", "Invalid '%s': %d; the vocabulary has 0 to %d.", name, id, vocab-1)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	text := s.o.Model.Tokenizer().Decode(*q.Tokens)
	return w.json(http.StatusOK, detokenizeResponse{text, text})
}

// readFor reads a request that needs the model, whose name it may give.
func (s *Server) readFor(w *response, r *http.Request, v any, model *string, prepare func() error) error {
	return s.read(w, r, v, func() error {
		if s.o.Model == nil {
			return s.errNoModel()
		}
		if err := s.known(*model); err != nil {
			return err
		}
		return prepare()
	})
}
