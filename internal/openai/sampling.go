package openai

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Sampling is how tokens are chosen: fields that all routes share. nil is the
// server's choice.
type Sampling struct {
	Temperature      *float64     `json:"temperature,omitempty"`
	TopP             *float64     `json:"top_p,omitempty"`
	FrequencyPenalty *float64     `json:"frequency_penalty,omitempty"`
	PresencePenalty  *float64     `json:"presence_penalty,omitempty"`
	LogitBias        Map[float64] `json:"logit_bias,omitempty"` // by token id
	Seed             *int64       `json:"seed,omitempty"`

	// What servers of open models add: llama-server, vLLM.
	TopK              *int     `json:"top_k,omitempty"` // 0 and -1 are off
	MinP              *float64 `json:"min_p,omitempty"`
	RepeatPenalty     *float64 `json:"repeat_penalty,omitempty"`     // llama-server's word
	RepetitionPenalty *float64 `json:"repetition_penalty,omitempty"` // vLLM's word
	IgnoreEOS         bool     `json:"ignore_eos,omitempty"`
}

// Bounds that the API does not state, or states lower: room for what clients
// send, and an end for what an attacker sends.
const (
	MaxChoices     = 128
	MaxStops       = 64
	MaxStopLength  = 1024 // characters
	MaxBias        = 1024
	MaxTopLogprobs = 20
)

// check says which number is out of its range.
func (s *Sampling) check() error {
	for _, f := range []struct {
		name   string
		v      *float64
		lo, hi float64
	}{
		{"temperature", s.Temperature, 0, 2},
		{"top_p", s.TopP, 0, 1},
		{"min_p", s.MinP, 0, 1},
		{"frequency_penalty", s.FrequencyPenalty, -2, 2},
		{"presence_penalty", s.PresencePenalty, -2, 2},
		{"repeat_penalty", s.RepeatPenalty, 0.01, 100},
		{"repetition_penalty", s.RepetitionPenalty, 0.01, 100},
	} {
		if err := within(f.name, "decimal", f.v, f.lo, f.hi); err != nil {
			return err
		}
	}
	if err := within("top_k", "integer", s.TopK, -1, 1<<31-1); err != nil {
		return err
	}
	if len(s.LogitBias) > MaxBias {
		return Invalid("logit_bias", "object_above_max_properties", "Invalid 'logit_bias': %d entries, at most %d are allowed.", len(s.LogitBias), MaxBias)
	}
	_, err := s.Bias()
	return err
}

// Bias is LogitBias with its keys as token ids. Its error is an *Error.
func (s *Sampling) Bias() (map[int32]float32, error) {
	if len(s.LogitBias) == 0 {
		return nil, nil
	}
	bias := make(map[int32]float32, len(s.LogitBias))
	for key, v := range s.LogitBias {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil || id < 0 {
			return nil, Invalid("logit_bias", "invalid_value", "Invalid key in 'logit_bias': %.40q is no token id.", key)
		}
		if err := within("logit_bias", "decimal", &v, -100, 100); err != nil {
			return nil, err
		}
		bias[int32(id)] = float32(v)
	}
	return bias, nil
}

// within says, in OpenAI's words, which side of its range a number is on.
func within[T int | int64 | float64](name, kind string, v *T, lo, hi T) error {
	switch {
	case v == nil:
		return nil
	case *v < lo:
		return Invalid(name, kind+"_below_min_value", "Invalid '%s': %s below minimum value. Expected a value >= %v, but got %v instead.", name, kind, lo, *v)
	case *v > hi:
		return Invalid(name, kind+"_above_max_value", "Invalid '%s': %s above maximum value. Expected a value <= %v, but got %v instead.", name, kind, hi, *v)
	}
	return nil
}

func missing(name string) error {
	return Invalid(name, "missing_required_parameter", "Missing required parameter: '%s'.", name)
}

// checkStops bounds stop texts. Empty ones are none: OpenAI's schema has them,
// and nothing could end before them.
func checkStops(stops []string) error {
	if len(stops) > MaxStops {
		return Invalid("stop", "array_above_max_length",
			"Invalid 'stop': array too long. Expected an array with maximum length %d, but got an array with length %d instead.", MaxStops, len(stops))
	}
	for i, s := range stops {
		if n := utf8.RuneCountInString(s); n > MaxStopLength {
			return Invalid("stop", "string_above_max_length", "Invalid 'stop': text %d has %d characters, at most %d are allowed.", i, n, MaxStopLength)
		}
	}
	return nil
}

// checkLimit checks a number of new tokens; -1 is as many as there is room
// for, which LM Studio's and llama-server's users write.
func checkLimit(name string, n *int) error {
	if n != nil && *n == -1 {
		return nil
	}
	one := 1
	return within(name, "integer", n, one, 1<<31-1)
}

// oneOf checks a word.
func oneOf(name, v string, words ...string) error {
	list := ""
	for i, w := range words {
		if v == w {
			return nil
		}
		switch {
		case i == 0:
		case i == len(words)-1:
			list += " and "
		default:
			list += ", "
		}
		list += "'" + w + "'"
	}
	return Invalid(name, "invalid_value", "Invalid value: '%.80s'. Supported values are: %s.", v, list)
}

// at names an element: at("messages", 3, "content") is "messages[3].content".
func at(array string, i int, field string) string {
	if field == "" {
		return fmt.Sprintf("%s[%d]", array, i)
	}
	return fmt.Sprintf("%s[%d].%s", array, i, field)
}
