package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/scanedge/scanedge/sync/durable"
)

// Tokens are those of an origin's first start in plain text, as tokens.json shows them. What is made or rotated later is not in them.
type Tokens struct {
	Version int    `json:"version"`
	Admin   string `json:"admin_token"` // operators
	Push    string `json:"push_token"`  // authorities that push, to any issuer
	Scanner string `json:"scanner_key"` // gates; edges check it
}

const tokensVersion = 1

func newTokens() Tokens {
	return Tokens{tokensVersion, newToken(Admin), newToken(Push), newToken(Scan)}
}

// firstNames are the names that the tokens of the first start go by.
var firstNames = map[Kind]string{Admin: "admin", Push: "push", Scan: "scanner"}

func (t Tokens) byKind() map[Kind]string {
	return map[Kind]string{Admin: t.Admin, Push: t.Push, Scan: t.Scanner}
}

// readShown reads tokens.json. Its error is an fs.ErrNotExist when there is none.
func readShown(path string) (t Tokens, err error) {
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	if err == nil && t.Version != tokensVersion {
		err = fmt.Errorf("its version is %d, this scanedge knows %d", t.Version, tokensVersion)
	}
	if err == nil && (t.Admin == "" || t.Push == "" || t.Scanner == "") {
		err = errors.New("a token is missing or empty")
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("read the tokens from %s: %w; mend it, or delete it to have new ones made", path, err)
	}
	return t, nil
}

// readOrShow reads tokens.json, or draws tokens and shows them there.
func readOrShow(path string) (Tokens, error) {
	t, err := readShown(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return t, err
	}
	t = newTokens()
	if err := durable.WriteJSON(path, t); err != nil {
		return Tokens{}, fmt.Errorf("write the tokens: %w", err)
	}
	return t, nil
}
