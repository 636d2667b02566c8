package openai

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
)

// EmbeddingRequest is POST /v1/embeddings.
type EmbeddingRequest struct {
	Model          string  `json:"model"`
	Input          Prompts `json:"input"`
	EncodingFormat string  `json:"encoding_format,omitempty"` // "float", "base64"
	Dimensions     *int    `json:"dimensions,omitempty"`
	User           string  `json:"user,omitempty"`
}

// MaxInputs of an EmbeddingRequest, as with OpenAI.
const MaxInputs = 2048

// Check says what is wrong with the request, whatever the model is. Its error
// is an *Error.
func (r *EmbeddingRequest) Check() error {
	if r.Input.Len() == 0 {
		return missing("input")
	}
	if n := r.Input.Len(); n > MaxInputs {
		return Invalid("input", "array_above_max_length",
			"Invalid 'input': array too long. Expected an array with maximum length %d, but got an array with length %d instead.", MaxInputs, n)
	}
	if r.EncodingFormat != "" {
		if err := oneOf("encoding_format", r.EncodingFormat, "float", "base64"); err != nil {
			return err
		}
	}
	one := 1
	return within("dimensions", "integer", r.Dimensions, one, 1<<20)
}

// EmbeddingResponse answers an EmbeddingRequest.
type EmbeddingResponse struct {
	Object string      `json:"object"` // "list"
	Data   []Embedding `json:"data"`
	Model  string      `json:"model"`
	Usage  Usage       `json:"usage"` // has no completion tokens
}

// Embedding is one vector.
type Embedding struct {
	Object    string `json:"object"` // "embedding"
	Index     int    `json:"index"`
	Embedding Vector `json:"embedding"`
}

// A Vector is an array of numbers in JSON, or, where Base64 is set, their
// little-endian bytes in base64. It reads both.
type Vector struct {
	Values []float32
	Base64 bool
}

func (v Vector) MarshalJSON() ([]byte, error) {
	if !v.Base64 {
		return json.Marshal(v.Values)
	}
	b := make([]byte, 0, 4*len(v.Values))
	for _, x := range v.Values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(b))
}

func (v *Vector) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		return json.Unmarshal(b, &v.Values)
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	v.Base64, v.Values = true, make([]float32, len(raw)/4)
	for i := range v.Values {
		v.Values[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return nil
}
