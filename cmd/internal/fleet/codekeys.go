package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// codeKeysFile is the name of the file, in the fleet's folder, that holds every issuer's code keys: what a load of rolling codes for
// the whole population is made with. A fleet reads them where they lie, in the issuers' files, and so sees each change.
const codeKeysFile = "code-keys.json"

// codeKeysEvery is how often the file is held against the origin's. Tests are quicker.
var codeKeysEvery = time.Second

// codeKeys is the content of the file: of each issuer the keys as its own file has them, {"id":1,"key":BASE64}, the newest first.
type codeKeys struct {
	Version int                        `json:"version"` // 1
	Issuers map[string]json.RawMessage `json:"issuers"`
}

// readCodeKeys reads what the issuers in an origin's folder have, as the file's content.
func readCodeKeys(origin string) ([]byte, error) {
	paths, err := filepath.Glob(filepath.Join(origin, "issuers", "*.json"))
	if err != nil {
		return nil, err
	}
	keys := codeKeys{1, map[string]json.RawMessage{}}
	for _, path := range paths {
		var issuer struct {
			ID   string          `json:"issuer"`
			Keys json.RawMessage `json:"code_keys"`
		}
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, &issuer)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the code keys in %s: %w", path, err)
		}
		keys.Issuers[issuer.ID] = issuer.Keys
	}
	return keys.text()
}

func (k codeKeys) text() ([]byte, error) {
	b, err := json.Marshal(k)
	return append(b, '\n'), err
}

// SaveCodeKeys replaces the file at path, mode 0600, with one like a fleet's: of each issuer the keys as its own file has them.
func SaveCodeKeys(path string, issuers map[string]json.RawMessage) error {
	b, err := codeKeys{1, issuers}.text()
	if err != nil {
		return fmt.Errorf("writing code keys to %s: %w", path, err)
	}
	return replaceFile(path, b)
}

// writeCodeKeys writes the file, mode 0600, and keeps it true until the fleet stops.
func (f *Fleet) writeCodeKeys() error {
	path, err := filepath.Abs(filepath.Join(f.cfg.Dir, codeKeysFile))
	if err != nil {
		return err
	}
	keys, err := readCodeKeys(f.origin.dir)
	if err == nil {
		err = replaceFile(path, keys)
	}
	if err != nil {
		return err
	}
	f.update(func(up *Up) { up.CodeKeys = path })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.keepCodeKeys(ctx, path, keys)
	}()
	f.dropCodeKeys = func() {
		cancel()
		<-ended
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			f.note("could not remove %s, which holds secrets: %v", path, err)
		}
	}
	return nil
}

// keepCodeKeys replaces the file whenever a key was replaced or dropped, or an issuer made.
func (f *Fleet) keepCodeKeys(ctx context.Context, path string, was []byte) {
	said := ""
	for sleep(ctx, codeKeysEvery) {
		now, err := readCodeKeys(f.origin.dir)
		if err == nil && !bytes.Equal(now, was) {
			if err = replaceFile(path, now); err == nil {
				was = now
			}
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			f.note("%s may be out of date: %v", path, err)
		}
	}
}
