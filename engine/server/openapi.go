package server

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
)

//go:embed openapi.json
var openAPIDocument []byte

// document is openapi.json with the bounds of what is served: the vocabulary,
// and the numbers of a vector.
func (s *Server) document() ([]byte, error) {
	var doc map[string]any
	d := json.NewDecoder(bytes.NewReader(openAPIDocument))
	d.UseNumber() // a seed has 64 bits
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("server: openapi.json: %w", err)
	}
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	if s.o.Model != nil {
		schemas["Token"].(map[string]any)["maximum"] = s.o.Model.Info().Vocab - 1
	}
	if s.o.Embedder != nil {
		fields := schemas["EmbeddingRequest"].(map[string]any)["properties"].(map[string]any)
		fields["dimensions"].(map[string]any)["maximum"] = s.o.Embedder.Dim()
	}
	return json.MarshalIndent(doc, "", " ")
}

func (s *Server) openAPI(w *response, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Write(s.described)
	return nil
}
