package grammar

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Open makes the grammar that a user names: schema is a JSON schema or the
// file that holds it, gbnf a file with GBNF. Both empty is no grammar: nil.
func Open(schema, gbnf string) (*Grammar, error) {
	switch {
	case schema == "" && gbnf == "":
		return nil, nil
	case schema != "" && gbnf != "":
		return nil, errors.New("--schema and --grammar are two ways to say the same: want one of them")
	case gbnf != "":
		data, err := os.ReadFile(gbnf)
		if err != nil {
			return nil, fmt.Errorf("--grammar: want a file with GBNF: %w", err)
		}
		g, err := Parse(string(data))
		if err != nil {
			return nil, fmt.Errorf("--grammar %s: %w", gbnf, err)
		}
		return g, nil
	}
	data, name := []byte(schema), "--schema"
	if !strings.HasPrefix(strings.TrimSpace(schema), "{") {
		var err error
		if data, err = os.ReadFile(schema); err != nil {
			return nil, fmt.Errorf("--schema: want a JSON schema {…} or a file that holds one: %w", err)
		}
		name += " " + schema
	}
	g, err := FromSchema(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return g, nil
}
