package origin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/delta"
	"github.com/scanedge/scanedge/sync/durable"
)

// heldVersion is the version of the files that held pushes lie in: a line of JSON, which is a heldPush, and the push's batch as the
// log would hold it.
const heldVersion = 1

// heldPush is a push that waits for an approval.
type heldPush struct {
	Version  int       `json:"version"`
	ID       string    `json:"id"`
	Token    string    `json:"token_id"` // the pusher's
	Pusher   string    `json:"pusher"`   // the token's name
	Note     string    `json:"note,omitempty"`
	Key      string    `json:"key,omitempty"`
	IfMatch  *uint64   `json:"if_match,omitempty"`
	Run      string    `json:"run,omitempty"`
	Time     time.Time `json:"time"`
	Deltas   int       `json:"deltas"`
	Why      string    `json:"why"`
	Sum      string    `json:"sum"`   // of its deltas: what tells it from another push
	Check    string    `json:"check"` // SHA-256 of the rest, and the batch
	Bytes    int64     `json:"-"`     // of the file
	applying bool      // by somebody's approval
}

func (h *heldPush) ends() time.Time { return h.Time.Add(heldFor) }

// check is what Check must be.
func (h *heldPush) check(batch []byte) string {
	rest := *h
	rest.Check = ""
	head, err := json.Marshal(&rest)
	if err != nil {
		panic(err) // it holds only strings, numbers and a time
	}
	sum := sha256.New()
	sum.Write(head)
	sum.Write(batch)
	return hex.EncodeToString(sum.Sum(nil))
}

// write keeps the push's file durably.
func (h *heldPush) write(path string, batch []byte) error {
	h.Check = h.check(batch)
	head, err := json.Marshal(h)
	if err != nil {
		return err
	}
	file := append(append(head, '\n'), batch...)
	h.Bytes = int64(len(file))
	return durable.WriteFile(path, file)
}

// readHeld reads a held push's file, and checks that it is whole.
func readHeld(path string) (*heldPush, []byte, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	fail := func(format string, a ...any) (*heldPush, []byte, error) {
		return nil, nil, fmt.Errorf("read the held push %s: "+format+"; have it pushed again and remove the file", append([]any{path}, a...)...)
	}
	head, batch, _ := bytes.Cut(file, []byte{'\n'})
	h := new(heldPush)
	if err := json.Unmarshal(head, h); err != nil {
		return fail("it is not whole: %w", err)
	}
	if h.Version != heldVersion {
		return fail("its version is %d, this scanedge knows %d", h.Version, heldVersion)
	}
	if h.check(batch) != h.Check {
		return fail("it is not whole: its checksum is wrong")
	}
	h.Bytes = int64(len(file))
	return h, batch, nil
}

// push makes the held push one that can be stored, approved by the token of a name. One without a key gets one, so that it is
// applied once though the origin be killed in between.
func (h *heldPush) push(w *writer, batch []byte, by string) (*push, error) {
	b, err := delta.ParseBatch(batch)
	if err != nil {
		return nil, err
	}
	deltas := make([]cache.Delta, b.Len())
	for i := range deltas {
		deltas[i] = b.At(i)
	}
	info := delta.Info{Pusher: h.Pusher, Note: h.Note, Key: h.key(), Approver: by}
	p, err := newPush(w, info, deltas, h.IfMatch)
	if err != nil {
		return nil, err
	}
	p.from, p.run, p.consent = caller{h.Token, h.Pusher}, h.Run, approver
	return p, nil
}

func (h *heldPush) key() string {
	if h.Key == "" {
		return "held-" + h.ID
	}
	return h.Key
}

// shown is what people are told of it, with its figures as they are now.
func (h *heldPush) shown(w *writer, f scanedge.Figures) scanedge.Held {
	return scanedge.Held{
		ID: h.ID, Issuer: w.secret.ID, Pusher: h.Pusher, Note: h.Note, Key: h.Key, Time: h.Time.UTC().Format(time.RFC3339),
		Ends: h.ends().UTC().Format(time.RFC3339), Deltas: h.Deltas, Why: h.Why, Figures: f,
	}
}
