package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/llcuda/llcuda/engine/tokenizer"
)

// newTokenize: text to token ids and back.
func newTokenize() *cobra.Command {
	var file, jsonl string
	var special, bos, asJSON, decode bool
	cmd := &cobra.Command{
		Use:   "tokenize MODEL [TEXT | --file F | --jsonl F]",
		Short: "Text to token ids, or back with --decode",
		Long: `Tokenize prints the ids that the model's tokenizer gives a text, and each token's
piece. Without TEXT, --file or --jsonl it reads standard input.

With --jsonl every line of F is a JSON string, and every line printed is the list
of its ids. With --decode the input holds ids (separated by spaces or commas, or a
JSON list) and the text is printed; with --jsonl, a list in and a string out.`,
		Args: between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && (file != "" || jsonl != "") || file != "" && jsonl != "" {
				return usageError{errors.New("tokenize: want one of TEXT, --file and --jsonl")}
			}
			t, err := openTokenizer(args[0])
			if err != nil {
				return err
			}
			o := tokenizer.Options{Special: special, NoBOS: !bos}
			if jsonl != "" {
				return tokenizeLines(cmd.OutOrStdout(), t, o, jsonl, decode)
			}
			text, err := inputText(cmd, args[1:], file)
			if err != nil {
				return err
			}
			if decode {
				return printDecoded(cmd.OutOrStdout(), t, text, asJSON)
			}
			return printTokens(cmd.OutOrStdout(), t, t.Encode(text, o), asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "file", "", "read the text from this file")
	f.StringVar(&jsonl, "jsonl", "", "one JSON string a line in, one list of ids a line out")
	f.BoolVar(&special, "special", false, "parse control tokens in the text")
	f.BoolVar(&bos, "bos", true, "begin as the model wants it, with its BOS token if it has one")
	f.BoolVar(&asJSON, "json", false, "print JSON: a list of ids, or a string")
	f.BoolVar(&decode, "decode", false, "ids to text")
	return cmd
}

// inputText is the argument, the file, or standard input.
func inputText(cmd *cobra.Command, args []string, file string) (string, error) {
	var b []byte
	var err error
	switch {
	case len(args) > 0:
		return args[0], nil
	case file != "":
		b, err = os.ReadFile(file)
	default:
		return readAll(cmd.Context(), cmd.InOrStdin())
	}
	return string(b), err
}

// readAll reads r to its end, unless ctx is cancelled before: a terminal waits
// for its user.
func readAll(ctx context.Context, r io.Reader) (string, error) {
	done := make(chan struct{})
	var b []byte
	var failed error
	go func() {
		defer close(done)
		b, failed = io.ReadAll(r)
	}()
	select {
	case <-done:
		return string(b), failed
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func printTokens(w io.Writer, t *tokenizer.Tokenizer, ids []int32, asJSON bool) error {
	if asJSON {
		if ids == nil {
			ids = []int32{}
		}
		return encodeJSON(w, ids)
	}
	b := bufio.NewWriter(w)
	for _, id := range ids {
		piece := string(t.Piece(id))
		if piece == "" { // control tokens have no text
			piece = t.Text(id)
		}
		fmt.Fprintf(b, "%7d  %q\n", id, piece)
	}
	fmt.Fprintf(b, "%d tokens\n", len(ids))
	return b.Flush()
}

func printDecoded(w io.Writer, t *tokenizer.Tokenizer, text string, asJSON bool) error {
	ids, err := parseIDs(text, t.Len())
	if err != nil {
		return err
	}
	if asJSON {
		return encodeJSON(w, t.Decode(ids))
	}
	_, err = fmt.Fprintln(w, t.Decode(ids))
	return err
}

// parseIDs reads ids separated by spaces or commas, in brackets or not.
func parseIDs(text string, vocab int) ([]int32, error) {
	text = strings.Trim(strings.TrimSpace(text), "[]")
	var ids []int32
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' || r == '\r' }) {
		id, err := strconv.ParseInt(w, 10, 32)
		if err != nil || id < 0 || int(id) >= vocab {
			return nil, fmt.Errorf("tokenize: id %q: want a number from 0 to %d", w, vocab-1)
		}
		ids = append(ids, int32(id))
	}
	return ids, nil
}

// tokenizeLines converts a file line by line; a line may be long.
func tokenizeLines(w io.Writer, t *tokenizer.Tokenizer, o tokenizer.Options, path string, decode bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriter(w)
	in := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if strings.TrimSpace(line) != "" {
			if err := tokenizeLine(out, t, o, line, decode); err != nil {
				return fmt.Errorf("tokenize: %s:%d: %w", path, n, err)
			}
		}
		if err == io.EOF {
			return out.Flush()
		}
		if err != nil {
			return err
		}
	}
}

func tokenizeLine(w io.Writer, t *tokenizer.Tokenizer, o tokenizer.Options, line string, decode bool) error {
	if decode {
		ids, err := parseIDs(line, t.Len())
		if err != nil {
			return err
		}
		return encodeJSON(w, t.Decode(ids))
	}
	var text string
	if err := json.Unmarshal([]byte(line), &text); err != nil {
		return fmt.Errorf("want a JSON string: %w", err)
	}
	ids := t.Encode(text, o)
	if ids == nil {
		ids = []int32{}
	}
	return encodeJSON(w, ids)
}

// encodeJSON writes a value on one line, leaving <, > and & readable.
func encodeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
