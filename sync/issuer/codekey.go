package issuer

import (
	"crypto/rand"
	"fmt"
)

// CodeKey is a secret that an issuer's codes are made with: by it each subject's own secret is derived. The newest is used, the one
// before still known.
type CodeKey struct {
	ID  uint8  `json:"id"` // counts from 1 to 255, then from 1 again
	Key []byte `json:"key"`
}

// codeKeySize is the length of a code key, in bytes.
const codeKeySize = 32

// maxCodeKeys is how many code keys of an issuer are known at once: so an id tells them apart, however often they were replaced.
const maxCodeKeys = 2

// Rekey is what is done to an issuer's code keys: first New, then DropOld.
type Rekey struct {
	New     bool // another key is drawn, by which codes are made from then on; of those before, the newest stays known
	DropOld bool // no key but the newest stays known
}

func (r Rekey) apply(keys []CodeKey) []CodeKey {
	if r.New {
		next := CodeKey{1, make([]byte, codeKeySize)}
		rand.Read(next.Key) // never fails
		if len(keys) > 0 {
			next.ID = keys[0].ID%255 + 1
		}
		keys = append([]CodeKey{next}, keys[:min(len(keys), maxCodeKeys-1)]...)
	}
	if r.DropOld {
		keys = keys[:min(len(keys), 1)]
	}
	return keys
}

// checkCodeKeys reports what no issuer's code keys can be.
func checkCodeKeys(keys []CodeKey) error {
	if len(keys) > maxCodeKeys || len(keys) == maxCodeKeys && keys[0].ID == keys[1].ID {
		return fmt.Errorf("it has %d code_keys, not up to %d with ids of their own", len(keys), maxCodeKeys)
	}
	for _, k := range keys {
		if k.ID == 0 || len(k.Key) != codeKeySize {
			return fmt.Errorf("its code key %d has %d bytes, not %d, or no id from 1 to 255", k.ID, len(k.Key), codeKeySize)
		}
	}
	return nil
}
